package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sealpost/sealpost/internal/backup"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/operatorlog"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver/httpserver"
)

// timeFile is what a backup says of when it was taken, in RFC 3339; no file of the data folder.
const timeFile = "backup.time"

// maxSmallFile bounds a file of the data folder other than blobs, in bytes: an operator's log
// grows by 200 a line.
const maxSmallFile = 64 << 20

// endedEarly is the trailer that says why a backup is not whole.
const endedEarly = "Sealpost-Ended-Early"

// leftOut is the trailer that says how many blobs are not in a backup, if any.
const leftOut = "Sealpost-Blobs-Left-Out"

// backupKey is what a backup is sealed under: whoever has one without the storage key sees its size.
func backupKey(storage shard.Key) ([32]byte, error) { return derive(storage, "sealpost backup") }

// backup sends a backup, sealed, while everything else goes on.
func (o *operator) backup(w http.ResponseWriter, r *http.Request) {
	if !o.note(w, r, "backup", "-") {
		return
	}
	w.Header().Set("Trailer", endedEarly+", "+leftOut)
	w.Header().Set("Content-Type", "application/octet-stream")
	ctx, cancel := context.WithTimeout(r.Context(), adminBackupWithin)
	defer cancel()
	missing, err := o.writeBackup(ctx, newPatient(w))
	if missing > 0 {
		w.Header().Set(leftOut, strconv.Itoa(missing))
	}
	if err != nil {
		o.server.log.Warn("a backup ended early", "error", err)
		w.Header().Set(endedEarly, err.Error())
	}
}

func (o *operator) writeBackup(ctx context.Context, out io.Writer) (missing int, err error) {
	key, err := backupKey(o.server.storage)
	if err != nil {
		return 0, err
	}
	w, err := backup.NewWriter(out, key)
	if err != nil {
		return 0, err
	}
	now := []byte(time.Now().UTC().Format(time.RFC3339))
	if err := w.File(timeFile, int64(len(now)), bytes.NewReader(now)); err != nil {
		return 0, err
	}
	records := &pacedRecords{out: w, now: time.Now}
	if err := records.begin(relayFolder); err != nil {
		return 0, err
	}
	keys := func() error { // ahead of the blobs, which may take hours: accounts name queues of the relay
		return o.server.keys.Backup(ctx, func(name string) error { return records.begin(path.Join(keysFolder, name)) }, records.record)
	}
	missing, err = o.server.relay.Backup(ctx, records.record, keys, func(name string, size int64, body io.Reader) error {
		records.store = blobsFolder
		return w.File(path.Join(blobsFolder, name), size, body)
	})
	if err != nil {
		return missing, fmt.Errorf("%s: %w", records.store, err)
	}
	if err := addFiles(w, o.config); err != nil {
		return missing, err
	}
	_, err = w.Close()
	return missing, err
}

// errSlowBackup: whoever receives a backup is too slow for it.
var errSlowBackup = fmt.Errorf("the records of a store were not taken within %v, and a server cannot wait longer: what is written over meanwhile fills its disk; write the backup to a faster disk first", adminRecordWithin)

// pacedRecords writes the records of one store after the other, each within a time.
type pacedRecords struct {
	out   *backup.Writer
	now   func() time.Time
	store string // whose turn it is
	ends  time.Time
}

func (p *pacedRecords) begin(store string) error {
	p.store, p.ends = store, p.now().Add(adminRecordWithin)
	return p.out.Store(store)
}

func (p *pacedRecords) record(key, sealed []byte) error {
	if p.now().After(p.ends) {
		return errSlowBackup
	}
	return p.out.Record(key, sealed)
}

// addFiles adds what makes a restored server the same one to its clients. The storage key is not
// among it: it would lie beside what it seals.
func addFiles(w *backup.Writer, cfg serveConfig) error {
	names := []string{relayKeyFile, certpin.KeyFile, operatorlog.Name}
	entries, err := os.ReadDir(filepath.Join(cfg.Data, acmeFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if name := path.Join(acmeFolder, e.Name()); e.Type().IsRegular() && known(name) {
			names = append(names, name)
		}
	}
	for _, name := range names {
		file := filepath.Join(cfg.Data, filepath.FromSlash(name))
		if name == operatorlog.Name {
			file = operatorLogPath(cfg)
		}
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // with a certificate of one's own there is no development key
		}
		if err != nil {
			return err
		}
		if len(b) > maxSmallFile {
			return fmt.Errorf("%s has more than %d bytes", name, maxSmallFile)
		}
		if err := w.File(name, int64(len(b)), bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return nil
}

// storeFolders lists the folders of all stores inside the data folder, as a backup names them.
func storeFolders() []string {
	all := []string{relayFolder}
	for _, name := range httpserver.Stores() {
		all = append(all, path.Join(keysFolder, name))
	}
	return all
}

// backupCommand writes a backup of a running server.
type backupCommand struct {
	File string `arg:"" help:"File that is made, or a folder for one named by the time, or - for standard output."`
	adminTarget
}

// Run receives the backup, and looks whether it is whole.
func (c *backupCommand) Run(ctx context.Context, s streams) error {
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	name, out, err := c.create(s)
	if err != nil {
		return err
	}
	got, missing, err := receive(ctx, cfg.Data, out)
	if missing != "" {
		fmt.Fprintf(s.err, "sealpost: blobs that are not in the backup, since the server has lost their files or cannot open them: %s; sealpost admin check names them\n", missing)
	}
	if c.File == "-" {
		return explained(err, cfg.Data)
	}
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(out.Name(), name)
	}
	if err == nil {
		err = folder.Sync(filepath.Dir(name))
	}
	if err != nil {
		return errors.Join(explained(err, cfg.Data), os.Remove(out.Name()))
	}
	keyPath, _ := storageKeyPath(cfg)
	fmt.Fprintf(s.out, "backup   %s\nsize     %d bytes\nSHA-256  %s\n\n", name, got.Bytes, hex.EncodeToString(got.Sum[:]))
	fmt.Fprintf(s.out, "It holds the stores, the blobs and the server's own keys, sealed under the storage key. That key is not in it,\n"+
		"and nothing can be read without it: keep a copy of %s apart from the backups.\n"+
		"Not in it either: the configuration file, and certificates of your own.\n", keyPath)
	return nil
}

// explained says what to do about a server that does not run.
func explained(err error, data string) error {
	if errors.Is(err, errNoServer) {
		return fmt.Errorf("%w: start it; or, while it is stopped, copy the folder as it is, and start a copy once with --restored", err)
	}
	return err
}

// create makes the file that the backup is received in, beside where it will be. No file is
// ever overwritten.
func (c *backupCommand) create(s streams) (name string, out *os.File, err error) {
	if c.File == "-" {
		f, ok := s.out.(*os.File)
		if !ok {
			return "", nil, errors.New("standard output is no file")
		}
		return "-", f, nil
	}
	name = c.File
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		name = filepath.Join(name, "sealpost-"+time.Now().UTC().Format("20060102-150405")+".backup")
	}
	if _, err := os.Lstat(name); err == nil {
		return "", nil, fmt.Errorf("%s is there already, and is not overwritten", name)
	}
	out, err = os.OpenFile(name+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	return name, out, err
}

// receive copies a backup from the server and returns what its hash covers, and how many blobs are
// not in it, empty if all are.
func receive(ctx context.Context, data string, out io.Writer) (got backup.Summary, missing string, err error) {
	answer, err := ask(ctx, data, "backup", "")
	if err != nil {
		return backup.Summary{}, "", err
	}
	defer answer.Body.Close()
	got, err = backup.Whole(io.TeeReader(answer.Body, out))
	_, _ = io.Copy(io.Discard, answer.Body) // the trailers stand behind it
	if err != nil {
		if why := answer.Trailer.Get(endedEarly); why != "" {
			err = fmt.Errorf("the server ended the backup early: %s", why)
		}
	}
	return got, printable(answer.Trailer.Get(leftOut)), err
}
