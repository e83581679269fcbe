package bench

import (
	"context"
	"fmt"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// groupSize is the members of the group of the MLS figures. All but the first were just
// added: no inner node has a key yet, which is the dearest a commit can be.
const groupSize = 100

// joinSize is the members of the group that is joined.
const joinSize = 1000

// mls lists the figures of the area mls.
func (b *bench) mls() []measure.Figure {
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
		all = append(all,
			measure.Figure{
				Name: name("commit_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
				About: about("Processor time of a commit with a path in a group of 100 whose members were just added, over that of the HPKE seals (99), " +
					"key derivations (7), key generations (1) and signatures (2) that RFC 9420 has it do."),
				Of: b.mlsSide("commit", s, few(30)), Over: b.mlsSide("commit primitives", s, few(30)),
			},
			measure.Figure{
				Name: name("process_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(4),
				About: about("Processor time of checking and following that commit, over that of its HPKE opening (1), key derivations (7) and " +
					"signature verifications (2). What is left is above all hashing the tree, and refusing HPKE keys of low order."),
				Of: b.mlsSide("process", s, few(100)), Over: b.mlsSide("process primitives", s, few(300)),
			},
			measure.Figure{
				Name: name("protect_vs_primitives"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(3),
				About: about("Processor time of encrypting a message of 1 KiB, over that of one signature and one AEAD seal of it."),
				Of:    b.mlsSide("protect", s, few(2000)), Over: b.mlsSide("protect primitives", s, few(2000)),
			})
	}
	return append(all, measure.Figure{
		Name: "join_1000_vs_verify", Unit: "ratio", Sides: "µs", Bound: measure.AtMost(4),
		About: "Processor time of joining a group of 1000 with suite 1, over that of verifying the signatures of its 1000 leaves, which a joiner must.",
		Of:    b.mlsSide("join", mls.DefaultSuite, b.count(5, 1)), Over: b.mlsSide("join primitives", mls.DefaultSuite, b.count(5, 1)),
	})
}

// mlsSide returns the processor time of one operation, in µs.
func (b *bench) mlsSide(operation string, s mls.Suite, times int) measure.Side {
	return func(ctx context.Context) (micros float64, err error) {
		err = b.with(ctx, "mls", func(child *measure.Child) error {
			done, err := ask(child, mlsRequest{Operation: operation, Suite: s, Times: times})
			micros = done.Seconds * 1e6 / float64(max(1, done.Messages))
			return err
		})
		return micros, err
	}
}
