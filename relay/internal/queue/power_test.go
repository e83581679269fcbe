package queue

import (
	"flag"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sealpost/sealpost/internal/crashpoint"
)

// The plain test is short; the long one is
//
//	go test -run TestR26 ./relay/internal/queue -cuts 5000 -timeout 1h
var cuts = flag.Int("cuts", 60, "R26: after how many power cuts the relay is looked at")

// disk is what is known of a story's files: what was synced, and so is there after a power cut.
// Files that Badger writes and syncs by itself, tables and its manifest, count as synced.
type disk struct {
	*story // nil: nothing was promised yet
	random *rand.Rand
	each   float64 // the share of moments at which the power is cut

	mu     sync.Mutex
	synced image
	placed map[string]bool // blobs whose name is durable
	states []cut
	failed error
}

// cut is what a power cut at some moment left, and what was promised by then.
type cut struct {
	at crashpoint.Point
	image
	*promises
	lied bool // the disk said of the log's end that it was synced, and it was not
}

// watch is called at every crash point; what syncs waits meanwhile.
func (d *disk) watch(p crashpoint.Point) {
	var begins, ends string // of what is durable now
	switch p {
	case crashpoint.Synced:
		ends = ".mem"
	case crashpoint.MarkSynced:
		begins = "queues/mark"
	case crashpoint.BlobVerified, crashpoint.BlobPlaced:
		begins = "blobs/"
	case crashpoint.Storing, crashpoint.Committed, crashpoint.LogBegun, crashpoint.MarkWritten, crashpoint.Shown,
		crashpoint.Answered, crashpoint.AckStored, crashpoint.BlobWritten, crashpoint.BlobRenamed:
	default:
		return // no file was touched since the point before
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.story == nil || d.failed != nil {
		return
	}
	if cutting := d.random.Float64() < d.each; cutting {
		defer d.cut(p) // of what is synced by then
	} else if begins+ends == "" {
		return
	}
	now, err := d.take(begins, ends)
	if err != nil {
		d.failed = err
		return
	}
	switch p {
	case crashpoint.Synced:
		newest := newestLog(now)
		d.synced[newest] = now[newest]
	case crashpoint.MarkSynced:
		d.synced["queues/mark"] = now["queues/mark"]
	case crashpoint.BlobVerified, crashpoint.BlobPlaced:
		for name, f := range now {
			if strings.HasPrefix(name, "blobs/") && p == crashpoint.BlobVerified {
				d.synced[strings.TrimSuffix(name, ".part")] = f
			}
			d.placed[name] = d.placed[name] || p == crashpoint.BlobPlaced
		}
	}
}

// cut keeps what a power cut at p leaves.
func (d *disk) cut(p crashpoint.Point) {
	now, err := d.take("", "")
	if err != nil {
		d.failed = err
		return
	}
	c := cut{at: p, image: d.powerless(now), promises: d.promises.clone(), lied: d.random.IntN(5) == 0}
	if c.lied {
		c.forget(d.random)
	}
	d.states = append(d.states, c)
}

// forget takes away up to the last 4 KiB of the newest write-ahead log.
func (c *cut) forget(random *rand.Rand) {
	newest := newestLog(c.image)
	f := c.image[newest]
	f.data = f.data[:max(0, len(f.data)-1-random.IntN(4<<10))]
	c.image[newest] = f
}

func newestLog(m image) string {
	logs := slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(n string) bool { return filepath.Ext(n) != ".mem" })
	return logs[len(logs)-1]
}

// powerless returns what a power cut may leave of now.
func (d *disk) powerless(now image) image {
	left := make(image)
	for name, f := range now {
		switch plain := strings.TrimSuffix(name, ".part"); {
		case strings.HasPrefix(name, "blobs/"):
			if !d.placed[name] && plain == name && d.random.IntN(2) == 0 {
				name += ".part" // its new name did not get there
			}
			left[name] = mix(d.random, d.synced[plain], f)
		case filepath.Ext(name) == ".mem", name == "queues/mark":
			left[name] = mix(d.random, d.synced[name], f)
		default:
			left[name] = f
		}
	}
	return left
}

// clone copies what was promised so far.
func (p *promises) clone() *promises {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := newPromises(p.life)
	for q, l := range p.logs {
		n := *l
		n.asked, n.at = maps.Clone(l.asked), maps.Clone(l.at)
		c.logs[q] = &n
	}
	c.blobs = maps.Clone(p.blobs)
	return c
}

// TestR26_PowerCutLosesNothing: the power goes at any moment while groups write, commit, ack and
// store blobs. What was not synced is there, or not, or torn, sector by sector. The relay starts
// again in the same life; what it answered is there, once and in its place; what was acked by all
// and erased is not; and no number is given twice. Of a disk that lied about a sync at least the
// mark tells: a new life begins with which everybody hears of the loss.
func TestR26_PowerCutLosesNothing(t *testing.T) {
	const chapters, perStory = 4, 30
	looks := *cuts
	if testing.Short() {
		looks = min(looks, 10)
	}
	points := make(map[crashpoint.Point]int)
	lies := make(map[string]int)
	looked := 0
	t.Cleanup(func() { crashpoint.Watch(nil) }) // after the store is closed
	for seed := uint64(0); looked < looks; seed++ {
		d := &disk{
			random: rand.New(rand.NewPCG(seed, 27)), each: 0.12,
			synced: make(image), placed: make(map[string]bool),
		}
		crashpoint.Watch(d.watch)
		s := tell(t, seed)
		d.begin(t, s)
		for range chapters {
			s.chapter()
			s.ackMost()
		}
		s.sound()
		if err := s.Store.Close(); err != nil {
			t.Fatal(err)
		}
		crashpoint.Watch(nil)
		if d.failed != nil {
			t.Fatal(d.failed)
		}
		d.random.Shuffle(len(d.states), func(i, k int) { d.states[i], d.states[k] = d.states[k], d.states[i] })
		for _, c := range d.states[:min(len(d.states), perStory, looks-looked)] {
			how, err := c.judge(t, s.cfg, c.promises, true)
			if how != keptWhole && !(c.lied && how == keptTold) {
				t.Fatalf("story %d, cut after %s, lied about a sync: %v: %s: %v", seed, c.at, c.lied, how, err)
			}
			if c.lied {
				lies[how]++
			}
			points[c.at]++
			looked++
		}
	}
	t.Logf("cuts=%d lost=0 back=0 twice=0, after %v; the disk had lied: %v; else new_incarnations=0", looked, points, lies)
}

// begin looks at the files for the first time: all of them count as synced, since the groups were
// founded, and answered.
func (d *disk) begin(t *testing.T, s *story) {
	if err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now, err := s.take("", "")
	if err != nil {
		t.Fatal(err)
	}
	d.story, d.synced = s, now
}
