package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/sealpost/sealpost/internal/measure"
	"github.com/sealpost/sealpost/mls"
)

// Sizes of the groups that the library must be fast in.
const (
	mediumGroup = 1000
	largestOne  = 10000
	smallGroup  = 10
)

// A variant is a kind of group: of which suite, and whether its tree is populated.
type variant struct {
	suite     mls.Suite
	populated bool
}

// named is a figure's name with the variant's suffix. Suite 1 and a fresh tree have none.
func (v variant) named(figure string) string {
	if v.populated {
		figure += ".populated"
	}
	if heavy(v.suite) {
		figure += ".pq"
	}
	return figure
}

// about is text for the plain variant, and what differs for the others.
func (v variant) about(text string) string {
	var differs []string
	if v.populated {
		differs = append(differs, "in a group whose every member has committed once")
	}
	if heavy(v.suite) {
		differs = append(differs, fmt.Sprintf("with %s", v.suite))
	}
	if len(differs) == 0 {
		return text
	}
	return "The same " + strings.Join(differs, ", ") + "."
}

// floor is the operation that stands for what cannot be avoided: with the hashes of all bytes
// where the suite's keys are long.
func (v variant) floor(short, counted string) string {
	if heavy(v.suite) {
		return counted
	}
	return short
}

func variants() []variant {
	var all []variant
	for _, s := range groupSuites() {
		all = append(all, variant{s, false}, variant{s, true})
	}
	return all
}

// groupSuites are suite 1 and the default for new groups, which is post-quantum.
func groupSuites() []mls.Suite {
	return []mls.Suite{mls.SuiteX25519AES128Ed25519, mls.SuiteMLKEM768X25519AES256Ed25519}
}

// mlsGroups are figures of large groups: what an operation takes over the cryptography that
// it cannot avoid, and how that grows with the group.
func (b *bench) mlsGroups() []measure.Figure {
	var all []measure.Figure
	for _, v := range variants() {
		all = append(all, b.joining(v, "", mediumGroup), b.joining(v, "_10000", largestOne))
		all = append(all, b.committing(v)...)
		all = append(all, b.messaging(v)...)
	}
	return all
}

// side does an operation in a group of the variant.
func (b *bench) side(v variant, operation string, members, times int, h *heap) measure.Side {
	return func(ctx context.Context) (float64, error) {
		q := mlsRequest{Operation: operation, Suite: v.suite, Times: times, Members: b.count(members, 8), Populated: v.populated}
		var err error
		if q.Fixture, err = b.group(ctx, v.suite, q.Members, v.populated); err != nil {
			return 0, err
		}
		return b.mlsSide(q, h)(ctx)
	}
}

func (b *bench) joining(v variant, size string, members int) measure.Figure {
	h := new(heap)
	times := b.count(max(1, 5*mediumGroup/members), 1)
	return measure.Figure{
		Name: v.named("join_vs_floor" + size), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.15), Heap: h.perOperation,
		About: v.about(fmt.Sprintf("Processor time of joining a group of %d members, over that of verifying as many signatures over as many bytes, "+
			"on all processors as well. All but one member were just added by one commit.", members)),
		Of:   b.side(v, "join", members, times, h),
		Over: b.side(v, v.floor("verify all", "join floor"), members, times, nil),
	}
}

func (b *bench) committing(v variant) []measure.Figure {
	create, add := new(heap), new(heap)
	return append([]measure.Figure{
		{
			Name: v.named("path_commit_create_vs_floor"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.25), Heap: create.perOperation,
			About: v.about("Processor time of making a commit with a path in a group of 1000, over that of its HPKE seals, key generations and " +
				"signatures, on all processors as well. No inner node has a key, so there are 999 seals."),
			Of:   b.side(v, "create path", mediumGroup, b.count(20, 2), create),
			Over: b.side(v, v.floor("path floor", "create floor"), mediumGroup, b.count(20, 2), nil),
		},
		{
			Name: v.named("add_process_vs_verify"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(20), Heap: add.perOperation,
			About: v.about("Processor time of checking and following a commit that adds one member, without a path, to a group of 1000, over that of " +
				"one signature verification."),
			Of: b.side(v, "follow add", mediumGroup, b.count(100, 2), add), Over: b.verify(v),
		},
	}, b.following(v)...)
}

// verify is the side of one signature verification.
func (b *bench) verify(v variant) measure.Side {
	return b.side(v, "verify", mediumGroup, b.count(20, 1), nil)
}

// following is what members do with a commit that has a path.
func (b *bench) following(v variant) (all []measure.Figure) {
	for _, group := range []struct {
		size           string
		members, times int
		most           float64 // verifications
	}{{"", mediumGroup, 50, 25}, {"_10000", largestOne, 10, 120}} {
		h, times := new(heap), b.count(group.times, 2)
		f := measure.Figure{
			Name: v.named("path_commit_process" + group.size + "_vs_verify"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(group.most), Heap: h.perOperation,
			About: v.about(fmt.Sprintf("Processor time of checking and following such a commit in a group of %d, as the mean of the member beside the committer "+
				"and of one at the other end of the tree, over that of one signature verification.", group.members)),
			Of: b.side(v, "follow path", group.members, times, h), Over: b.verify(v),
		}
		if heavy(v.suite) {
			f.Bound = measure.Bound{} // to hash the commit takes longer
			all = append(all, measure.Figure{
				Name: v.named("path_commit_process" + group.size + "_vs_floor"), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.5),
				About: fmt.Sprintf("The same, over that of its signatures and hashes, one HPKE open and the key pairs of its path, with %s.", v.suite),
				Of:    f.Of, Over: b.side(v, "follow floor", group.members, times, nil),
			})
		}
		all = append(all, f)
	}
	return all
}

func (b *bench) messaging(v variant) []measure.Figure {
	encrypt, decrypt, store := new(heap), new(heap), new(heap)
	growth := func(name, operation string, h *heap, text string) measure.Figure {
		times := b.count(20, 1)
		return measure.Figure{
			Name: v.named(name), Unit: "ratio", Sides: "µs", Bound: measure.AtMost(1.2), Heap: h.perOperation, About: v.about(text),
			Of: b.side(v, operation, largestOne, times, h), Over: b.side(v, operation, smallGroup, times, nil),
		}
	}
	return []measure.Figure{
		growth("encrypt_256B_10000_vs_10", "encrypt", encrypt, "Processor time of encrypting a message of 256 bytes in a group of 10000, over that in a group of 10. "+
			"A member's first message of an epoch is not counted: it derives the ratchet."),
		growth("decrypt_256B_10000_vs_10", "decrypt", decrypt, "The same for decrypting it, from the sender's second message on."),
		{
			Name: v.named("persist_bytes_per_message"), Unit: "bytes", Bound: measure.AtMost(2048), Heap: store.perOperation,
			About: v.about("What a member of a group of 1000 stores for each message that it sends or receives, mean of 100 of each."),
			Of:    b.stored(v, mediumGroup, b.count(100, 2), store),
		},
	}
}

// stored returns the bytes that are stored for each message.
func (b *bench) stored(v variant, members, times int, h *heap) measure.Side {
	return func(ctx context.Context) (stored float64, err error) {
		members := b.count(members, 8)
		dir, err := b.group(ctx, v.suite, members, v.populated)
		if err != nil {
			return 0, err
		}
		err = b.with(ctx, "mls", func(child *measure.Child) error {
			done, err := askMLS(child, mlsRequest{Operation: "store", Suite: v.suite, Times: times, Fixture: dir, Members: members})
			stored = float64(done.Stored)
			h.note(done)
			return err
		})
		return stored, err
	}
}
