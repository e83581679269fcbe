// Package tsmls holds tests of package mls against another implementation: groups whose
// members are Sealpost's library and ts-mls, a library in TypeScript by others, which runs
// in a child process on Node. The folder has no code but tests; README.md says what they
// show, and the command run beside it installs ts-mls and runs them. Without that command
// they are skipped.
package tsmls
