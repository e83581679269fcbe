package bench

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// groupSize is the members of the groups that the primitives of each suite are held against.
// All but the first were just added: no inner node has a key yet, which is the dearest a
// commit can be.
const groupSize = 100

// mls lists the figures of the area mls.
func (b *bench) mls() []measure.Figure { return append(b.mlsPrimitives(), b.mlsGroups()...) }

// mlsPrimitives are figures for each suite that RFC 9420 defines and Go's own library has
// all of: its curves cost most differently.
func (b *bench) mlsPrimitives() []measure.Figure {
	var all []measure.Figure
	for _, s := range classicSuites {
		heavy := s == mls.SuiteP521AES256P521 || s == mls.SuiteP384AES256P384
		few := func(n int) int {
			if heavy {
				n = max(2, n/10)
			}
			return b.count(n, 2)
		}
		name := func(what string) string { return fmt.Sprintf("%s_suite%d", what, s) }
		about := func(text string) string {
			if s == mls.DefaultSuite {
				return text
			}
			return fmt.Sprintf("The same with %s.", s)
		}
		side := func(operation string, times int) measure.Side {
			return b.mlsSide(mlsRequest{Operation: operation, Suite: s, Times: times, Members: b.count(groupSize, 8)}, nil)
		}
		all = append(all,
			measure.Figure{
				Name: name("commit_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
				About: about("Processor time of a commit with a path in a group of 100 whose members were just added, over that of the HPKE seals (99), " +
					"key derivations (7), key generations (1) and signatures (2) that RFC 9420 has it do."),
				Of: side("commit", few(30)), Over: side("commit primitives", few(30)),
			},
			measure.Figure{
				Name: name("process_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(4),
				About: about("Processor time of checking and following that commit, over that of its HPKE opening (1), key derivations (7) and " +
					"signature verifications (2). What is left is above all hashing and copying."),
				Of: side("process", few(100)), Over: side("process primitives", few(300)),
			},
			measure.Figure{
				Name: name("protect_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(3),
				About: about("Processor time of encrypting a message of 1 KiB, over that of one signature and one AEAD seal of it."),
				Of:    side("protect", few(2000)), Over: side("protect primitives", few(2000)),
			})
	}
	return all
}

// mlsSide returns the processor time of one operation, in µs, and tells h what it allocated.
func (b *bench) mlsSide(q mlsRequest, h *heap) measure.Side {
	return func(ctx context.Context) (micros float64, err error) {
		err = b.with(ctx, "mls", func(child *measure.Child) error {
			done, err := askMLS(child, q)
			micros = done.Seconds * 1e6 / float64(max(1, done.Operations))
			h.note(done)
			return err
		})
		return micros, err
	}
}
