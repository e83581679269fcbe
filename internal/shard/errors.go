package shard

import "errors"

// Errors of a store, by what the caller does next.
var (
	// ErrWrongKey: give the right storage key; nothing was written.
	ErrWrongKey = errors.New("shard: the storage key is not this store's")
	// ErrFormat: another version of the program made the store. Use that one; nothing was written.
	ErrFormat = errors.New("shard: the store has the format of another version of this program")
	// ErrLocked: another process, or another Store, has the folder open.
	ErrLocked = errors.New("shard: the folder is in use")
	// ErrCorrupt: a file or value is damaged. At Open: restore a backup. From a read or an
	// operation: only what it touched is lost.
	ErrCorrupt = errors.New("shard: stored data is damaged")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("shard: the store is closed")
	// ErrFailed: a write or sync failed. Nothing is acknowledged any more; open the store
	// again to learn what is on disk.
	ErrFailed = errors.New("shard: the store has failed")
	// ErrFull: the disk is nearly full. Try again later; the store recovers by itself.
	ErrFull = errors.New("shard: not enough free disk space")
	// ErrTooLarge: the operation wrote more than a batch can hold. Never try it again.
	ErrTooLarge = errors.New("shard: the operation writes too much")
	// ErrReserved: the machine used a key of the store's own, or an empty one.
	ErrReserved = errors.New("shard: the key is reserved")
)
