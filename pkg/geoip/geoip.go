// Package geoip says where a public address is: country, city and autonomous system, out of MaxMind DB files (GeoLite2,
// GeoIP2 and what others write in their form). Files are read again when they are replaced.
package geoip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/pipeline"
)

// Options name the files; an empty path is a database that is not used.
type Options struct {
	City string // of the form of GeoLite2 City or Country
	ASN  string // of the form of GeoLite2 ASN
	// Registerer takes the metrics, Logger the news of reloading; both may be nil.
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Databases are the files in use. It implements finding.Locator.
type Databases struct {
	city *file[finding.Geo]
	asn  *file[finding.AS]
	log  *slog.Logger
	metrics
}

type metrics struct {
	reloads *prometheus.CounterVec
	errors  *prometheus.CounterVec
	built   *prometheus.GaugeVec
}

// Open reads the files, which takes memory of their size, and checks that they are what they are said to be. The error
// names the file and what is wrong with it.
func Open(o Options) (*Databases, error) {
	d := &Databases{log: o.Logger, metrics: newMetrics(o.Registerer)}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if o.City != "" {
		d.city = &file[finding.Geo]{name: "city", path: o.City, other: "ASN", decode: decodeCity}
	}
	if o.ASN != "" {
		d.asn = &file[finding.AS]{name: "asn", path: o.ASN, other: "City", decode: decodeASN}
	}
	var problems []error
	for _, f := range d.files() {
		if err := f.open(); err != nil {
			problems = append(problems, fmt.Errorf("the GeoIP file %s cannot be used: %w", f.where(), err))
			continue
		}
		d.opened(f)
	}
	return d, errors.Join(problems...)
}

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foretop_geoip_reloads_total",
			Help: "Attempts to read a GeoIP database again after its file changed, by database (city, asn) and result: ok or failed.",
		}, []string{"database", "result"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "foretop_geoip_lookup_errors_total", Help: "Addresses that a GeoIP database gave an error for instead of a place.",
		}, []string{"database"}),
		built: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "foretop_geoip_database_build_timestamp_seconds", Help: "When the publisher made the GeoIP database in use.",
		}, []string{"database"}),
	}
	if r != nil {
		r.MustRegister(m.reloads, m.errors, m.built)
	}
	return m
}

// reloadable is a file[T] whatever its T.
type reloadable interface {
	label() string
	where() string
	open() error
	built() time.Time
	problem() string
	look() (change, error)
}

func (d *Databases) files() []reloadable {
	var out []reloadable
	if d.city != nil {
		out = append(out, d.city)
	}
	if d.asn != nil {
		out = append(out, d.asn)
	}
	return out
}

// Detail says for people which databases are in use, and what is wrong with their files.
func (d *Databases) Detail() string {
	var parts []string
	for _, f := range d.files() {
		text := f.label() + " of " + f.built().UTC().Format(time.DateOnly)
		if problem := f.problem(); problem != "" {
			text += " (the changed file is refused: " + problem + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// Locate is what the databases say of an address, zero if they do not know it. It never fails: an error of a database
// is counted.
func (d *Databases) Locate(addr netip.Addr) finding.Place {
	return finding.Place{Geo: locate(d.city, addr, d.errors), AS: locate(d.asn, addr, d.errors)}
}

func locate[T comparable](f *file[T], addr netip.Addr, failed *prometheus.CounterVec) T {
	var none T
	if f == nil {
		return none
	}
	value, err := f.current.Load().lookup(addr)
	if err != nil {
		failed.WithLabelValues(f.name).Inc()
		return none
	}
	return value
}

// settleDelay is how long a changed file must stay as it is before it is read, so that a copy under way is not taken
// for the whole.
const settleDelay = time.Second

// Run looks for replaced files every interval until ctx ends. A file that cannot be used leaves the old one in use.
func (d *Databases) Run(ctx context.Context, interval time.Duration) {
	wait := interval
	for pipeline.Sleep(ctx, wait) {
		wait = interval
		for _, f := range d.files() {
			if d.refresh(f) == changing {
				wait = min(interval, settleDelay)
			}
		}
	}
}

func (d *Databases) refresh(f reloadable) change {
	what, err := f.look()
	switch what {
	case replaced:
		d.opened(f)
		d.reloads.WithLabelValues(f.label(), "ok").Inc()
		d.log.Info("GeoIP database replaced", "database", f.label(), "file", f.where(), "built", f.built())
	case refused:
		d.reloads.WithLabelValues(f.label(), "failed").Inc()
		d.log.Error("changed GeoIP file refused, the old one stays in use", "database", f.label(), "file", f.where(), "error", err)
	case unchanged, changing:
	}
	return what
}

func (d *Databases) opened(f reloadable) {
	d.built.WithLabelValues(f.label()).Set(float64(f.built().Unix()))
	for _, result := range []string{"ok", "failed"} {
		d.reloads.WithLabelValues(f.label(), result)
	}
	d.errors.WithLabelValues(f.label())
}
