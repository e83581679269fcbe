package main

import (
	"fmt"

	"github.com/sealpost/sealpost/relay/relayserver"
)

// limitsConfig are the bounds that depend on the machine. Zero is the default of each.
type limitsConfig struct {
	Sessions            int    `toml:"sessions"`
	SessionsPerNetwork  int    `toml:"sessions-per-network"`
	Backlog             int    `toml:"backlog"`
	ReconnectsPerSecond int    `toml:"reconnects-per-second"`
	Blob                uint64 `toml:"blob"`
	QueueBlobs          uint64 `toml:"queue-blobs"`
	RelayBlobs          uint64 `toml:"relay-blobs"`
}

// check refuses what would be no relay, or was meant otherwise.
func (l *limitsConfig) check() error {
	for name, n := range map[string]int{
		"sessions": l.Sessions, "sessions-per-network": l.SessionsPerNetwork, "backlog": l.Backlog,
		"reconnects-per-second": l.ReconnectsPerSecond,
	} {
		if n < 0 {
			return fmt.Errorf("limits.%s is %d", name, n)
		}
	}
	queues := l.queues()
	switch {
	case l.Blob > maxBlobLimit:
		return fmt.Errorf("limits.blob is %d bytes, more than %d", l.Blob, uint64(maxBlobLimit))
	case queues.MaxBlob > defaultQueueBlobs && queues.QueueBlobBytes == 0:
		return fmt.Errorf("limits.blob is %d bytes, more than the default of limits.queue-blobs: set that too", l.Blob)
	case queues.MaxBlob != 0 && queues.QueueBlobBytes != 0 && queues.MaxBlob > queues.QueueBlobBytes:
		return fmt.Errorf("limits.blob is %d bytes, more than limits.queue-blobs of %d", l.Blob, l.QueueBlobs)
	case queues.QueueBlobBytes != 0 && queues.RelayBlobBytes != 0 && queues.QueueBlobBytes > queues.RelayBlobBytes:
		return fmt.Errorf("limits.queue-blobs is %d bytes, more than limits.relay-blobs of %d", l.QueueBlobs, l.RelayBlobs)
	}
	return nil
}

// defaultQueueBlobs is the default of limits.queue-blobs, in bytes.
const defaultQueueBlobs = 1 << 30

// maxBlobLimit is what clients' files can have at most.
const maxBlobLimit = 1 << 40

func (l *limitsConfig) relay() relayserver.Limits {
	return relayserver.Limits{
		Sessions: l.Sessions, SessionsPerPrefix: l.SessionsPerNetwork, Backlog: l.Backlog, ReconnectsPerSecond: l.ReconnectsPerSecond,
	}
}

func (l *limitsConfig) queues() relayserver.QueueLimits {
	return relayserver.QueueLimits{MaxBlob: l.Blob, QueueBlobBytes: l.QueueBlobs, RelayBlobBytes: l.RelayBlobs}
}
