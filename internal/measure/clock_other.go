//go:build !unix

package measure

import (
	"fmt"
	"time"
)

// CPU returns ErrUnsupported.
func CPU() (time.Duration, error) {
	return 0, fmt.Errorf("%w: no process clock", ErrUnsupported)
}
