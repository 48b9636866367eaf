package decode

import (
	"hash/maphash"

	"github.com/foretop/foretop/pkg/event"
	"github.com/foretop/foretop/pkg/jsonindex"
)

// Options are the limits of a Decoder, and where the cluster's name comes from. Zero limits mean the
// defaults.
type Options struct {
	// Cluster is the source's fixed setting; it wins over everything but MetaClusterName if either part is set.
	Cluster event.Cluster
	// ClusterFrom takes the cluster from the transport or from the shipper's keys; see ParseMapping.
	ClusterFrom Mapping
	// Provider is the managed service whose logs the source reads, where records do not say it: eks, gke,
	// aks, openshift.
	Provider string
	// Cloud fills the parts of Envelope.Cloud that the record does not say, such as the region.
	Cloud event.Cloud

	MaxItemBytes    int // bytes of one event; default 16 MiB
	MaxDepth        int // nesting of JSON; default 512
	MaxItems        int // items of one record; default 100,000
	MaxDecompressed int // bytes of a decompressed record; default 128 MiB
}

// Limits of wrapping. A shipper's key, a list, an encoding and leading text each count as one.
const (
	maxWraps = 4  // wrappers of shippers around one event
	maxNest  = 10 // objects around one event, lists and services included
)

func (o Options) withDefaults() Options {
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	set(&o.MaxItemBytes, 16<<20)
	set(&o.MaxDepth, 512)
	set(&o.MaxItems, 100_000)
	set(&o.MaxDecompressed, 128<<20)
	return o
}

// Decoder turns records into items. It keeps its buffers from record to record, so that a native event
// costs no allocation. One goroutine uses it at a time.
type Decoder struct {
	opts Options
	scan scanner // of the values in an object, which is one level itself
	seed maphash.Seed

	body []byte
	meta map[string]string
	emit func(*Item)
	item Item

	sole    bool     // the record is one object, and that is an event itself
	count   int      // items emitted for this record
	seen    hashSet  // the events emitted for this record
	twins   []uint64 // the same events, by what two spellings of one event share
	ranges  [maxWraps + 1]twinRange
	members []member
	objects [maxNest]object // the objects around the current one, outermost first
	level   int
	scratch []byte // a stack: unescaped texts, and what else lives until emit returns
	canon   []byte // the rebuilt canonical bytes of the current event
	edits   edits
	built   []byte       // a stack: JSON that is put together from what a service says in its own way
	unzips  [2]gunzipper // one for gzip inside gzip
	zipped  int          // how many of them are in use
	cluster clusterCache

	gkePlaced, aksPlaced placeMemo

	last  key                        // of the member before, see memberKey
	after [maxNest + 1][keyCount]key // which key came behind which one, by level

	texts      []*text // a stack
	inside     int     // how many of them are in use
	unindexed  bool    // no text gets an index, so that tests can compare both ways of reading
	canonIndex jsonindex.Index

	missing, inferred []string // those of the current event, where they differ from event to event
}

// New returns a decoder with the limits of o.
func New(o Options) *Decoder {
	o = o.withDefaults()
	return &Decoder{opts: o, scan: newScanner(max(o.MaxDepth-1, 1)), seed: maphash.MakeSeed()}
}

// Decode emits the items of one record, in order. meta is what the transport says beside the body (see
// pipeline.Record). The item and all that it points to are valid until emit returns. A nil body is a
// tombstone.
func (d *Decoder) Decode(body []byte, meta map[string]string, emit func(*Item)) {
	d.body, d.meta, d.emit = body, meta, emit
	d.sole, d.count, d.level, d.zipped, d.inside = false, 0, 0, 0, 0
	d.twins, d.members, d.scratch, d.built = d.twins[:0], d.members[:0], d.scratch[:0], d.built[:0]
	d.seen.reset()
	d.cluster.reset()
	sc := scope{narrow: true, unit: body}
	if group := meta[MetaLogGroup]; group != "" && d.readFrom(group, &sc) {
		d.settle(skipped(ClassOtherCategory), body)
	} else {
		d.settle(d.record(body, &sc), sc.unit)
	}
	d.body, d.meta, d.emit = nil, nil, nil
	d.releaseLarge()
}

// releaseLarge gives back buffers that one outsized record has grown.
func (d *Decoder) releaseLarge() {
	const keep = 8 << 20
	if cap(d.scratch) > keep {
		d.scratch = nil
	}
	if cap(d.canon) > keep {
		d.canon = nil
	}
	if cap(d.built) > keep {
		d.built = nil
	}
	if cap(d.members) > maxMembers {
		d.members = nil
	}
	for i := range d.unzips {
		d.unzips[i].release(keep)
	}
	for _, t := range d.texts {
		t.index.Release(keep)
	}
	d.canonIndex.Release(keep)
}
