package measure

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Resident returns how much of this process is in memory, in KiB. It needs /proc.
func Resident() (uint64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "VmRSS:" {
			return strconv.ParseUint(string(fields[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%w: /proc/self/status has no VmRSS", ErrUnsupported)
}
