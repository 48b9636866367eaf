package decode

import (
	"math"
	"time"

	"github.com/foretop/foretop/pkg/event"
)

// shipperTime gives the time that a shipper has put beside or around the event.
func (d *Decoder) shipperTime(o *object) (time.Time, bool) {
	for _, k := range [...]key{keyAtTimestamp, keyTimestamp, keyTime, keyDate} {
		if raw := o.raw(k); raw != nil {
			if t, ok := d.timeValue(raw); ok {
				return t, true
			}
		}
	}
	return time.Time{}, false
}

// timeValue reads a time as shippers and log services write it: RFC 3339 text, or a number since 1970, as
// a number or as text.
func (d *Decoder) timeValue(raw []byte) (time.Time, bool) {
	text, isText := unquote(raw, &d.scratch)
	if !isText {
		return epochTime(raw)
	}
	if t, ok := event.ParseTime(text); ok {
		return t, true
	}
	return epochTime(text)
}

// epochTime reads a decimal number of seconds, milliseconds, microseconds or nanoseconds since 1970. The
// unit follows from the size, for times between 1973 and 5138.
func epochTime(text []byte) (time.Time, bool) {
	var whole, frac int64
	i, scale := 0, int64(1e9)
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		if whole > (math.MaxInt64-9)/10 {
			return time.Time{}, false
		}
		whole = whole*10 + int64(text[i]-'0')
	}
	if i == 0 || i > 19 {
		return time.Time{}, false
	}
	if i < len(text) && text[i] == '.' {
		for i++; i < len(text) && text[i]-'0' <= 9; i++ {
			if scale > 1 {
				scale /= 10
				frac += int64(text[i]-'0') * scale
			}
		}
	}
	if i != len(text) {
		return time.Time{}, false
	}
	switch {
	case whole >= 1e17:
		return time.Unix(0, whole).UTC(), true
	case whole >= 1e14:
		return time.UnixMicro(whole).UTC(), true
	case whole >= 1e11:
		return time.UnixMilli(whole).UTC(), true
	case whole >= 1e8:
		return time.Unix(whole, frac).UTC(), true
	}
	return time.Time{}, false
}
