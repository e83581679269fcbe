package main

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/backup"
	"github.com/sealpost/sealpost/internal/certpin"
	"github.com/sealpost/sealpost/internal/folder"
	"github.com/sealpost/sealpost/internal/keyfile"
	"github.com/sealpost/sealpost/internal/operatorlog"
	"github.com/sealpost/sealpost/internal/shard"
)

// restoringFile stands in a data folder while a backup is being put there. What a crash leaves
// is no server, and serve says so.
const restoringFile = "restore.unfinished"

var errUnfinished = errors.New("a restore into this data folder was not finished: empty the folder and restore again")

// refuseUnfinished returns errUnfinished for what a killed restore left.
func refuseUnfinished(data string) error {
	if _, err := os.Lstat(filepath.Join(data, restoringFile)); err == nil {
		return fmt.Errorf("%w (%s)", errUnfinished, data)
	}
	return nil
}

// restoreCommand makes a data folder from a backup.
type restoreCommand struct {
	File string `arg:"" type:"existingfile" help:"The backup."`
	Dir  string `arg:"" type:"path" help:"Data folder that is made: empty, or not there yet."`

	Config     string `type:"existingfile" placeholder:"FILE" help:"The server's settings, if they say where the storage key is."`
	StorageKey string `type:"existingfile" placeholder:"FILE" help:"Your copy of the storage key; it is copied into the new folder, unless the settings name another place for it."`

	keyInside bool    // the server will look for the storage key in the new folder
	logPath   string  // where it will look for the operator's log
	journal   journal // what becomes of that
}

// Run verifies the whole backup before it makes anything, and makes the folder.
func (c *restoreCommand) Run(ctx context.Context, s streams) error {
	storage, err := c.storage()
	if err != nil {
		return err
	}
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	seen := new(survey)
	first, err := c.restore(ctx, f, storage, seen)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "restored  %d records and %d files of %s into %s\n\n", first.Records, first.Files, seen.taken, c.Dir)
	fmt.Fprintf(s.out, "Clients of the relay are told that a new life began, and give it again what it accepted after that;\n"+
		"one-time key packages in the backup are dropped. Start it with: %s serve --data %s\n\n", self(), quote(c.Dir))
	if c.journal.kept {
		fmt.Fprintf(s.out, "Before it serves anybody it suspends and resumes what the operator's log says, which goes on after the backup:\n%s\n", c.logPath)
	} else {
		fmt.Fprintf(s.out, "Queues that were suspended after %s are open again, and those resumed after it are suspended:\n"+
			"the operator's log in the backup ends there. Suspend again what has to be, before anybody connects if you can.\n", seen.taken)
	}
	if !c.copies() {
		fmt.Fprintf(s.out, "The storage key was not copied: the settings name another place for it, where the server looks.\n")
	}
	return nil
}

// restore reads the backup twice: once to see whether it is whole, then to put it into the folder.
// What is wrong with it the first time leaves nothing, and later the folder is emptied again.
func (c *restoreCommand) restore(ctx context.Context, f io.ReadSeeker, storage shard.Key, seen *survey) (backup.Summary, error) {
	first, err := readBackup(ctx, f, storage, seen)
	if err == nil {
		err = seen.complete()
	}
	if err != nil {
		return first, fmt.Errorf("%s: %w; nothing was restored", c.File, err)
	}
	if c.journal, err = journalOf(c.logPath, c.logPath == filepath.Join(c.Dir, operatorlog.Name), seen.history); err != nil {
		return first, fmt.Errorf("%w; nothing was restored", err)
	}
	if err := c.begin(); err != nil {
		return first, err
	}
	second, err := readBackup(ctx, f, storage, &restorer{dir: c.Dir, storage: storage})
	if err == nil && second.Sum != first.Sum {
		err = errors.New("the backup changed while it was read")
	}
	if err == nil {
		err = c.finish(storage)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("restoring %s: %w", c.File, err), c.undo())
	}
	return first, err
}

// storage reads the storage key from where it is named, or from where the server will look. A
// copy that is another than the server's own is refused, since the server could not start.
func (c *restoreCommand) storage() (shard.Key, error) {
	cfg, err := (&serveCommand{Config: c.Config, Data: c.Dir}).settings()
	if err != nil {
		return shard.Key{}, err
	}
	keyPath, credential := storageKeyPath(cfg)
	c.logPath = operatorLogPath(cfg)
	c.keyInside = !credential && keyPath == filepath.Join(c.Dir, storageKeyFile)
	switch {
	case c.StorageKey == "" && c.keyInside:
		return shard.Key{}, fmt.Errorf("%w: the backup can be read only with the key that the server had: name your copy with --storage-key", errStorageKey)
	case c.StorageKey == "":
		return readStorageKey(cfg)
	}
	key, err := keyfile.Read(c.StorageKey)
	if err != nil || c.keyInside {
		return key, err
	}
	there, err := readStorageKey(cfg)
	switch {
	case errors.Is(err, fs.ErrNotExist): // it is put there before the server starts
		return key, nil
	case err != nil:
		return shard.Key{}, err
	case subtle.ConstantTimeCompare(key[:], there[:]) != 1:
		return shard.Key{}, fmt.Errorf("%w: %s holds another key than %s, where the settings say that the server looks", errStorageKey, c.StorageKey, keyPath)
	}
	return key, nil
}

// copies tells whether the storage key goes into the new folder. Where the settings have it
// elsewhere it does not: whoever takes the folder would have it.
func (c *restoreCommand) copies() bool { return c.StorageKey != "" && c.keyInside }

func readBackup(ctx context.Context, f io.ReadSeeker, storage shard.Key, into backup.Contents) (backup.Summary, error) {
	key, err := backupKey(storage)
	if err != nil {
		return backup.Summary{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return backup.Summary{}, err
	}
	return backup.Read(untilDone{ctx, f}, key, into)
}

// untilDone ends reading with ctx.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, u.ctx.Err()
	}
	return u.r.Read(p)
}

// blobFile and acmeFile are the names of files that a backup may hold beside those of fixed names.
var (
	blobFile = regexp.MustCompile(`^` + blobsFolder + `/[0-9a-f]{40}$`)
	acmeFile = regexp.MustCompile(`^` + acmeFolder + `/[A-Za-z0-9+_][A-Za-z0-9.+_-]*$`)
)

// known tells whether a file of this name belongs into a data folder.
func known(name string) bool {
	return slices.Contains([]string{relayKeyFile, certpin.KeyFile, operatorlog.Name}, name) ||
		blobFile.MatchString(name) || acmeFile.MatchString(name)
}

// survey looks at what is in a backup and keeps nothing.
type survey struct {
	stores, files []string
	taken         string
	history       []byte // the operator's log
}

// Store implements [backup.Contents].
func (s *survey) Store(name string, _ func() (key, sealed []byte, err error)) error {
	if slices.Contains(s.stores, name) || !slices.Contains(storeFolders(), name) {
		return fmt.Errorf("%w: a store that this version does not know", backup.ErrFormat)
	}
	s.stores = append(s.stores, name)
	return nil
}

// File implements [backup.Contents].
func (s *survey) File(name string, size int64, body io.Reader) error {
	switch {
	case name == timeFile:
		b, err := io.ReadAll(io.LimitReader(body, 64))
		s.taken = printable(string(b))
		return err
	case !known(name), !blobFile.MatchString(name) && size > maxSmallFile:
		return fmt.Errorf("%w: a file that this version does not know", backup.ErrFormat)
	case name == operatorlog.Name:
		var err error
		s.history, err = io.ReadAll(body)
		return err
	case !blobFile.MatchString(name):
		s.files = append(s.files, name)
	}
	return nil
}

// complete refuses a backup that no server wrote.
func (s *survey) complete() error {
	if len(s.stores) != len(storeFolders()) || !slices.Contains(s.files, relayKeyFile) {
		return fmt.Errorf("%w: a store or the relay's key is not in it", backup.ErrFormat)
	}
	return nil
}

// begin makes the folder, or takes an empty one, and marks it.
func (c *restoreCommand) begin() error {
	if err := folder.Make(c.Dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: a backup is restored into a folder of its own only", c.Dir)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, restoringFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), folder.Sync(c.Dir))
}

// restorer writes what a backup holds into a data folder.
type restorer struct {
	dir     string
	storage shard.Key
}

// Store implements [backup.Contents].
func (r *restorer) Store(name string, next func() (key, sealed []byte, err error)) error {
	top, _, _ := strings.Cut(name, "/")
	key, err := storeKey(r.storage, top)
	if err != nil {
		return err
	}
	return shard.Import(filepath.Join(r.dir, filepath.FromSlash(name)), key, next)
}

// File implements [backup.Contents].
func (r *restorer) File(name string, _ int64, body io.Reader) error {
	if name == timeFile || name == operatorlog.Name { // which finish puts into its place
		return nil
	}
	file := filepath.Join(r.dir, filepath.FromSlash(path.Clean(name)))
	err := writeFile(file, body)
	if blobFile.MatchString(name) {
		_ = os.Chtimes(file, time.Unix(0, 0), time.Unix(0, 0)) // as the relay has them
	}
	return err
}

// writeFile makes a file, which is on disk when it returns, though not its name.
func writeFile(file string, body io.Reader) error {
	if err := folder.Make(filepath.Dir(file)); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	return errors.Join(err, f.Sync(), f.Close())
}

// finish writes what is not in the backup, and takes the mark away once all is on disk.
func (c *restoreCommand) finish(storage shard.Key) error {
	if c.copies() {
		if err := writeFile(filepath.Join(c.Dir, storageKeyFile), bytes.NewReader(storage[:])); err != nil {
			return err
		}
	}
	if err := c.journal.place(); err != nil {
		return err
	}
	history, err := operatorlog.Open(c.logPath)
	if err != nil {
		return err
	}
	user := "-"
	if uid := os.Getuid(); uid >= 0 {
		user = strconv.Itoa(uid)
	}
	err = history.Add(operatorlog.Entry{Time: time.Now(), Action: "restore", Subject: "-", User: user})
	if err := errors.Join(err, history.Close()); err != nil {
		return err
	}
	for _, name := range []string{blobsFolder, acmeFolder, keysFolder, ""} {
		if err := folder.Sync(filepath.Join(c.Dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(filepath.Join(c.Dir, restoringFile)); err != nil {
		return err
	}
	return folder.Sync(c.Dir)
}

// undo empties the folder, which was empty before; the mark goes last.
func (c *restoreCommand) undo() error {
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != restoringFile {
			err = errors.Join(err, os.RemoveAll(filepath.Join(c.Dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(c.Dir, restoringFile))
}
