//go:build !linux

package operatorlog

import (
	"errors"
	"os"
)

// allocate reserves nothing.
func allocate(*os.File, int64, int64) error { return errors.ErrUnsupported }
