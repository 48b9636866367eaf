package decode

import "github.com/foretop/foretop/pkg/event"

// scope is what is known at one place of a record: what the wrappers around it said.
type scope struct {
	env      event.Envelope
	wraps    int  // wrappings so far, of whatever kind
	wrappers int  // objects of shippers among them
	arrays   int  // arrays around the place
	inList   bool // the value that is read is an element of an array
	// unit is the smallest stretch of the record that stands there in clear and holds the place. It
	// narrows down to single values and elements while narrow is true: outside encodings, and outside a
	// shipper's object, whose keys belong to the item.
	unit   []byte
	narrow bool
	// element says what the elements of the list are that is being read.
	element elementKind
	// otherSource is true for the log events of a stream that holds no audit events.
	otherSource bool
	// composed is true for an event that a recogniser has put together from a service's own fields.
	composed bool
	// placed is true where an envelope around has said which cluster this is about.
	placed bool
	// old is true for the items of an EventList of an API version before v1.
	old bool
}

// place settles which cluster is meant within an envelope that sc was made for: the outermost that names one says
// it. What it carries may have been written by anybody, and cannot change it.
func (sc *scope) place(outer *scope) {
	if outer.placed {
		sc.env.Provider, sc.env.Cluster, sc.env.Cloud = outer.env.Provider, outer.env.Cluster, outer.env.Cloud
	}
	sc.placed = outer.placed || sc.env.Cluster.Name != ""
}

// elementKind is the form of a list's elements, where a service's envelope tells it.
type elementKind uint8

const (
	elementAny        elementKind = iota
	elementCloudWatch             // {timestamp, message} of CloudWatch Logs
	elementRecord                 // records of Azure Monitor or of Firehose
	elementPubSub                 // messages of Pub/Sub
)

// stretch is the unit for a value b that stands at this place.
func (sc *scope) stretch(b []byte) []byte {
	if sc.narrow {
		return b
	}
	return sc.unit
}

// wrapped returns the scope one wrapping further in, within b. The outermost wrapping names the format.
func (sc *scope) wrapped(format string, b []byte) scope {
	inner := *sc
	inner.wraps++
	inner.unit, inner.narrow, inner.inList = sc.stretch(b), false, false
	inner.old, inner.element = false, elementAny
	if inner.env.Format == "" {
		inner.env.Format = format
	}
	return inner
}

// outcome is what became of one value: events and items that were emitted, or a remark that the caller
// emits unless another reading of the same value gave an event.
type outcome struct {
	events int
	cut    bool // the value was cut
	held   bool
	remark remark
}

// remark is a skipped or broken item that is not emitted yet.
type remark struct {
	kind          Kind
	class, detail string
	raw           []byte
}

func skipped(class string) outcome {
	return outcome{held: true, remark: remark{kind: Skipped, class: class}}
}

func broken(class, detail string, raw []byte) outcome {
	return outcome{held: true, remark: remark{kind: Broken, class: class, detail: detail, raw: raw}}
}

// rank orders remarks about several readings of one value: the one that says most wins.
func (r remark) rank() int {
	switch {
	case r.kind == Broken:
		return 4
	case r.class == ClassText || r.class == ClassEmpty:
		return 1
	case r.class == ClassOtherJSON:
		return 2
	}
	return 3
}

// merge adds the outcome of another reading of the same value.
func (out *outcome) merge(other outcome) {
	out.events += other.events
	if other.held && (!out.held || other.remark.rank() > out.remark.rank()) {
		out.held, out.remark = true, other.remark
	}
}

// isBroken reports whether out holds a remark about something undecodable.
func (out *outcome) isBroken() bool { return out.held && out.remark.kind == Broken }

// settle emits the remark of out, if it holds one, as an item that stands in unit.
func (d *Decoder) settle(out outcome, unit []byte) {
	if !out.held || d.full() {
		return
	}
	it := &d.item
	*it = Item{Kind: out.remark.kind, Class: out.remark.class, Detail: out.remark.detail}
	d.place(it, unit)
	if it.Kind == Broken {
		if it.Raw = out.remark.raw; it.Length > 0 {
			it.Raw = unit
		}
	}
	d.send(it)
}

// place fills the item's position within the record. Every slice of the record is cut without limiting
// its capacity, so the difference of capacities is the offset.
func (d *Decoder) place(it *Item, unit []byte) {
	if len(unit) > 0 {
		it.Offset, it.Length = cap(d.body)-cap(unit), len(unit)
	}
}

func (d *Decoder) send(it *Item) {
	d.count++
	d.emit(it)
}

// full reports whether the record has reached its limit of items. The first time it says so in an item.
func (d *Decoder) full() bool {
	if d.count < d.opts.MaxItems {
		return false
	}
	if d.count == d.opts.MaxItems {
		d.item = Item{Kind: Broken, Class: ClassTooMany, Raw: d.body, Offset: 0, Length: len(d.body),
			Detail: "the record holds more items than the limit; the rest was not read"}
		d.send(&d.item)
	}
	return true
}
