package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sealpost/sealpost/internal/operatorlog"
)

// operatorLogCommand prints the log of what operators did to a server, running or not.
type operatorLogCommand struct{ adminTarget }

// Run prints every line and says whether the chain holds; errFailed if not.
func (c *operatorLogCommand) Run(s streams) error {
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	f, err := os.Open(operatorLogPath(cfg))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no server ever ran on %s, or its operator's log is elsewhere", cfg.Data)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	wrong := 0
	head, err := operatorlog.Read(f, func(line string, ok bool) {
		note := ""
		if !ok {
			wrong++
			note = "  <- this line, or the one before it, is not as it was written"
		}
		fmt.Fprintf(s.out, "%s%s\n", printable(line), note)
	})
	switch {
	case err != nil:
		return err
	case head.Lines == 0:
		fmt.Fprintln(s.out, "nothing was done yet")
		return nil
	case wrong > 0:
		fmt.Fprintf(s.err, "sealpost: the chain breaks in %d of %d lines: the log was edited, or its disk is damaged\n", wrong, head.Lines)
		return errFailed
	}
	fmt.Fprintf(s.out, "\nThe chain holds over all %d lines. That none is missing at the end shows to whoever wrote down an earlier last hash:\n%s\n",
		head.Lines, head.Hash)
	return nil
}
