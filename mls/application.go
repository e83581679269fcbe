package mls

import (
	"cmp"
	"time"
)

// Application is what a group asks of the program around it. It is not part of any stored
// state: whoever loads a group gives it again. The zero value accepts every credential and
// knows no pre-shared keys.
type Application struct {
	// Credentials judges credentials; nil accepts all. If it is a [CommitValidator] too, it
	// also judges commits.
	Credentials CredentialValidator
	// PSKs finds pre-shared keys; nil knows none.
	PSKs PSKSource
	// SameClient tells whether two credentials are those of one client, where a group takes
	// another's place or branches off it; nil: if they are equal. It answers by its arguments
	// alone, as an equivalence.
	SameClient func(a, b Credential) bool
	// KeepEpochs is how many past epochs a group keeps keys of: late application messages of
	// them can be read, and their resumption secrets are found. It costs forward secrecy: what
	// was sent in them stays readable for who gets hold of this member's state. [Group.Forget]
	// bounds their age. With zero a message of a past epoch is [ErrPastEpoch].
	KeepEpochs int
	// AppData applies AppDataUpdate proposals; nil refuses them.
	AppData AppDataLogic
	// MaxLifetime is the longest lifetime of a KeyPackage that this member adds; zero is
	// [MaxLifetime], below zero is no limit. It judges no commit that was received, and no
	// tree: what others have added is in the group.
	MaxLifetime time.Duration
}

// verify is [KeyPackage.Verify] of all packages, within the application's limit.
func (app *Application) verify(packages []*KeyPackage, now time.Time) error {
	if err := inParallel(len(packages), func(i int) error { return packages[i].check() }); err != nil {
		return err
	}
	for _, kp := range packages {
		if err := kp.accept(now, app.Credentials, cmp.Or(app.MaxLifetime, MaxLifetime)); err != nil {
			return err
		}
	}
	return nil
}
