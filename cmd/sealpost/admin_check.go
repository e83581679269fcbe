package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/keyfile"
	"github.com/sealpost/sealpost/internal/operatorlog"
	"github.com/sealpost/sealpost/internal/shard"
	"github.com/sealpost/sealpost/keyserver/httpserver"
	"github.com/sealpost/sealpost/relay/relayserver"
)

// maxFindings bounds what is printed: a damaged disk has one finding for each record.
const maxFindings = 1000

// checked is one line of a check's answer over the admin socket.
type checked struct {
	Store   string
	Finding shard.Finding
	Done    bool // the last line, of a check that came to its end
}

// checkCommand looks whether a server's stores are sound.
type checkCommand struct{ adminTarget }

// Run asks the server that runs on the data folder, or looks itself where none does. It returns
// errFailed if anything is wrong.
func (c *checkCommand) Run(ctx context.Context, s streams) error {
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	if err := refuseUnfinished(cfg.Data); err != nil {
		return err
	}
	found := 0
	report := func(store string, f shard.Finding) {
		if found++; found <= maxFindings {
			fmt.Fprintf(s.out, "%s, %s: %s: %s\n", store, f.Where, f.What, f.Means)
		}
	}
	how := "while the server runs"
	err = checkRunning(ctx, cfg.Data, report)
	if errors.Is(err, errNoServer) {
		how = "no server runs"
		err = checkStopped(ctx, cfg, report)
	}
	if err == nil {
		err = checkHistory(cfg, report)
	}
	switch {
	case err != nil:
		return err
	case found > maxFindings:
		fmt.Fprintf(s.out, "and %d more\n", found-maxFindings)
		return errFailed
	case found > 0:
		return errFailed
	}
	fmt.Fprintf(s.out, "sound: every record opens and they agree with each other (%s)\n", how)
	return nil
}

// checkRunning has the server check itself.
func checkRunning(ctx context.Context, data string, report func(string, shard.Finding)) error {
	answer, err := ask(ctx, data, "check", "")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	lines := json.NewDecoder(bufio.NewReader(answer.Body))
	for {
		var line checked
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if why := answer.Trailer.Get(endedEarly); why != "" {
				return fmt.Errorf("the server ended the check early: %s", why)
			}
			return errors.New("the server ended the check early")
		case err != nil:
			return err
		case line.Done:
			return nil
		}
		report(printable(line.Store), shard.Finding{
			Where: printable(line.Finding.Where), What: printable(line.Finding.What), Means: printable(line.Finding.Means),
		})
	}
}

// check answers with a line for each finding.
func (o *operator) check(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", endedEarly)
	out := json.NewEncoder(newPatient(w))
	found := 0
	report := func(store string, f shard.Finding) {
		if found++; found <= 2*maxFindings { // more than is printed says how many there are, about
			_ = out.Encode(checked{Store: store, Finding: f})
		}
	}
	err := o.server.relay.Check(r.Context(), func(f shard.Finding) { report(relayFolder, f) })
	if err == nil {
		err = o.server.keys.Check(r.Context(), func(store string, f shard.Finding) { report(path.Join(keysFolder, store), f) })
	}
	if err != nil {
		w.Header().Set(endedEarly, err.Error())
		return
	}
	_ = out.Encode(checked{Done: true})
}

// checkStopped checks the stores of a server that does not run. It makes no key and no store.
func checkStopped(ctx context.Context, cfg serveConfig, report func(string, shard.Finding)) error {
	if _, err := os.Stat(cfg.Data); err != nil {
		return err
	}
	storage, err := readStorageKey(cfg)
	if err != nil {
		return err
	}
	queueKey, err := storeKey(storage, relayFolder)
	if err != nil {
		return err
	}
	keysKey, err := storeKey(storage, keysFolder)
	if err != nil {
		return err
	}
	err = relayserver.Check(ctx, relayserver.Config{
		Dir: filepath.Join(cfg.Data, relayFolder), BlobDir: filepath.Join(cfg.Data, blobsFolder), StorageKey: queueKey,
	}, func(f shard.Finding) { report(relayFolder, f) })
	if err == nil {
		err = httpserver.Check(ctx, filepath.Join(cfg.Data, keysFolder), keysKey,
			func(store string, f shard.Finding) { report(path.Join(keysFolder, store), f) })
	}
	if errors.Is(err, shard.ErrWrongKey) {
		keyPath, _ := storageKeyPath(cfg)
		err = fmt.Errorf("%w: %s is another key than the stores were made with: %w", errStorageKey, keyPath, err)
	}
	return err
}

// readStorageKey reads the storage key where it must be already.
func readStorageKey(cfg serveConfig) (shard.Key, error) {
	keyPath, credential := storageKeyPath(cfg)
	read := keyfile.Read
	if credential {
		read = keyfile.ReadCredential
	}
	key, err := read(keyPath)
	if err != nil {
		return shard.Key{}, fmt.Errorf("%w: %w", errStorageKey, err)
	}
	return key, nil
}

// checkHistory looks whether the operator's log is as it was written.
func checkHistory(cfg serveConfig, report func(string, shard.Finding)) error {
	f, err := os.Open(operatorLogPath(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	wrong := 0
	head, err := operatorlog.Read(f, func(_ string, ok bool) {
		if !ok {
			wrong++
		}
	})
	if wrong > 0 {
		report(operatorlog.Name, shard.Finding{
			Where: fmt.Sprintf("%d of %d lines", wrong, head.Lines), What: "the chain breaks",
			Means: "somebody edited the log, or its disk is damaged; nobody's messages are touched",
		})
	}
	return err
}
