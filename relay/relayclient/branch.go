package relayclient

// maxBranches is the specification's (PROTOCOL.md section 4.1).
const maxBranches = 16
