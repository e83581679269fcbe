package mls

// Application is what a group asks of the program around it. It is not part of any stored
// state: whoever loads a group gives it again. The zero value accepts every credential and
// knows no pre-shared keys.
type Application struct {
	// Credentials judges credentials; nil accepts all. If it is a [CommitValidator] too, it
	// also judges commits.
	Credentials CredentialValidator
	// PSKs finds pre-shared keys; nil knows none.
	PSKs PSKSource
}
