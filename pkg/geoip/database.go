package geoip

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/foretop/foretop/pkg/finding"
)

// database is one file in memory, with the places that were asked for last. It does not change but for that, and is safe
// for concurrent use.
type database[T comparable] struct {
	reader *maxminddb.Reader
	decode func(maxminddb.Result) (T, error)

	mu sync.Mutex
	// Two generations of at most cacheHalf each: what was not asked for in either is forgotten.
	now, before map[netip.Addr]T
}

// cacheHalf bounds the cache: a client may come from, or claim, any number of addresses.
const cacheHalf = 4096

// newDatabase reads data, which must not change any more, and tries it.
func newDatabase[T comparable](data []byte, decode func(maxminddb.Result) (T, error)) (*database[T], error) {
	db := &database[T]{decode: decode, now: make(map[netip.Addr]T)}
	err := guard(func() (err error) {
		db.reader, err = maxminddb.OpenBytes(data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("it is no MaxMind DB file, or a part of one: %w", err)
	}
	if err := guard(db.try); err != nil {
		return nil, err
	}
	return db, nil
}

// guard turns a panic on a damaged file into an error.
func guard(f func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("reading it panicked: %v", cause)
		}
	}()
	return f()
}

const sampled = 1000 // networks that are tried

// try reads the first networks and addresses all over the internet. Reading everything would take seconds at each start.
func (db *database[T]) try() error {
	known, useful := 0, 0
	var none T
	one := func(r maxminddb.Result) error {
		if err := r.Err(); err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		if !r.Found() {
			return nil
		}
		known++
		value, err := db.decode(r)
		if err != nil {
			return fmt.Errorf("it is damaged, or not of the form of MaxMind's files: %w", err)
		}
		if value != none {
			useful++
		}
		return nil
	}
	seen := 0
	for r := range db.reader.Networks() {
		if err := one(r); err != nil {
			return err
		}
		if seen++; seen == sampled {
			break
		}
	}
	for a := 1; a < 224; a++ {
		for b := 0; b < 256; b += 64 {
			if err := one(db.reader.Lookup(netip.AddrFrom4([4]byte{byte(a), byte(b), 0, 1}))); err != nil {
				return err
			}
		}
	}
	switch {
	case known == 0:
		return errors.New("it knows no address")
	case useful == 0:
		return fmt.Errorf("it is of the type %q, which says nothing of what is looked for", db.reader.Metadata.DatabaseType)
	}
	return nil
}

// lookup is zero for an address that the database does not know, and after an error.
func (db *database[T]) lookup(addr netip.Addr) (T, error) {
	if value, ok := db.cached(addr); ok {
		return value, nil
	}
	var value T
	err := guard(func() (err error) {
		r := db.reader.Lookup(addr)
		if !r.Found() {
			return r.Err()
		}
		value, err = db.decode(r)
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	db.keep(addr, value)
	return value, nil
}

func (db *database[T]) cached(addr netip.Addr) (T, bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if value, ok := db.now[addr]; ok {
		return value, true
	}
	value, ok := db.before[addr]
	if ok {
		db.put(addr, value)
	}
	return value, ok
}

func (db *database[T]) keep(addr netip.Addr, value T) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.put(addr, value)
}

// put is called with the lock held.
func (db *database[T]) put(addr netip.Addr, value T) {
	if len(db.now) >= cacheHalf {
		db.before, db.now = db.now, make(map[netip.Addr]T)
	}
	db.now[addr] = value
}

// names are a thing's names by language, of which the English one is read.
type names struct {
	En string `maxminddb:"en"`
}

// decodeCity reads a record of the City and Country databases.
// https://dev.maxmind.com/geoip/docs/databases/city-and-country
func decodeCity(r maxminddb.Result) (finding.Geo, error) {
	var record struct {
		Continent struct {
			Code  string `maxminddb:"code"`
			Names names  `maxminddb:"names"`
		} `maxminddb:"continent"`
		Country struct {
			ISOCode string `maxminddb:"iso_code"`
			Names   names  `maxminddb:"names"`
		} `maxminddb:"country"`
		Subdivisions []struct {
			ISOCode string `maxminddb:"iso_code"`
			Names   names  `maxminddb:"names"`
		} `maxminddb:"subdivisions"`
		City struct {
			Names names `maxminddb:"names"`
		} `maxminddb:"city"`
		Location struct {
			Latitude  *float64 `maxminddb:"latitude"`
			Longitude *float64 `maxminddb:"longitude"`
			Timezone  string   `maxminddb:"time_zone"`
		} `maxminddb:"location"`
	}
	if err := r.Decode(&record); err != nil {
		return finding.Geo{}, err
	}
	g := finding.Geo{
		ContinentCode: record.Continent.Code, ContinentName: record.Continent.Names.En,
		CountryISOCode: record.Country.ISOCode, CountryName: record.Country.Names.En,
		CityName: record.City.Names.En, Timezone: record.Location.Timezone,
		Location: point(record.Location.Latitude, record.Location.Longitude),
	}
	if len(record.Subdivisions) > 0 { // the largest comes first
		region := record.Subdivisions[0]
		g.RegionName = region.Names.En
		if region.ISOCode != "" && g.CountryISOCode != "" {
			g.RegionISOCode = g.CountryISOCode + "-" + region.ISOCode
		}
	}
	return g, nil
}

// point is nil for what is no place on earth: Elasticsearch would refuse it, and JSON has no NaN.
func point(lat, lon *float64) *finding.Point {
	if lat == nil || lon == nil || !(math.Abs(*lat) <= 90) || !(math.Abs(*lon) <= 180) {
		return nil
	}
	return &finding.Point{Lat: *lat, Lon: *lon}
}

// decodeASN reads a record of the ASN and ISP databases. https://dev.maxmind.com/geoip/docs/databases/asn
func decodeASN(r maxminddb.Result) (finding.AS, error) {
	var record struct {
		Number       uint32 `maxminddb:"autonomous_system_number"`
		Organization string `maxminddb:"autonomous_system_organization"`
	}
	if err := r.Decode(&record); err != nil {
		return finding.AS{}, err
	}
	return finding.AS{Number: record.Number, Organization: finding.Named{Name: record.Organization}}, nil
}
