package shard

// A Finding is one thing that a check found wrong, in words for whoever runs the server. It holds
// no id: records are named as the disk names them.
type Finding struct {
	Where string // a file, or a record's name in hexadecimal
	What  string // is wrong with it
	Means string // for the server's users, and what to do
}

// What findings mean, where several have it in common.
const (
	MeansRestore = "what it held is lost here; restore a backup if you have one from before the damage"
	MeansNewLife = "the next start begins a new life, clients are told that entries may be lost, and give them again"
)
