package geoip

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/foretop/foretop/pkg/finding"
)

var update = flag.Bool("update", false, "write the files under testdata")

// place is a record of a City database.
func place(continent, country, countryName, region, regionName, city string, lat, lon float64) values {
	name := func(en string) values { return values{"en": en, "de": "nicht " + en} }
	v := values{
		"continent": values{"code": continent, "names": name("Continent of " + countryName)},
		"country":   values{"iso_code": country, "names": name(countryName), "geoname_id": uint32(1)},
		"location":  values{"latitude": lat, "longitude": lon, "time_zone": "Europe/Amsterdam", "accuracy_radius": uint16(5)},
	}
	if city != "" {
		v["city"] = values{"names": name(city)}
		v["subdivisions"] = []any{values{"iso_code": region, "names": name(regionName)}, values{"iso_code": "XX", "names": name("a smaller one")}}
	}
	return v
}

func cityFile(city string) []byte {
	return writeMMDB("GeoLite2-City", 28,
		network{"203.0.113.0/24", place("EU", "NL", "The Netherlands", "NH", "North Holland", city, 52.37, 4.89)},
		network{"198.51.100.0/25", place("NA", "US", "United States", "", "", "", 37.75, -97.82)},
		network{"2001:db8::/32", place("AS", "JP", "Japan", "13", "Tokyo", "Tokyo", 35.68, 139.69)},
		network{"192.0.2.0/24", place("EU", "DE", "Germany", "BE", "Land Berlin", "Berlin", math.NaN(), 500)},
	)
}

func asnFile() []byte {
	return writeMMDB("GeoLite2-ASN", 24,
		network{"203.0.113.0/24", values{"autonomous_system_number": uint32(64500), "autonomous_system_organization": "Example Networks"}},
		network{"2001:db8::/32", values{"autonomous_system_number": uint32(4200000000), "autonomous_system_organization": "Example Six"}},
	)
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func both(t testing.TB) (city, asn string) {
	t.Helper()
	dir := t.TempDir()
	return write(t, filepath.Join(dir, "city.mmdb"), cityFile("Amsterdam")), write(t, filepath.Join(dir, "asn.mmdb"), asnFile())
}

func open(t testing.TB, o Options) *Databases {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The files under testdata are for the tests of other packages.
func TestTheFilesUnderTestdataAreWhatTheEncoderWrites(t *testing.T) {
	for name, want := range map[string][]byte{"city.mmdb": cityFile("Amsterdam"), "asn.mmdb": asnFile()} {
		path := filepath.Join("testdata", name)
		if *update {
			write(t, path, want)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another file (%v): run the test with -update", path, err)
		}
	}
}

func TestAddressesAreLocated(t *testing.T) {
	city, asn := both(t)
	d := open(t, Options{City: city, ASN: asn})
	for addr, want := range map[string]finding.Place{
		"203.0.113.24": {
			Geo: finding.Geo{
				Location: &finding.Point{Lat: 52.37, Lon: 4.89}, ContinentCode: "EU", ContinentName: "Continent of The Netherlands", CountryISOCode: "NL",
				CountryName: "The Netherlands", RegionISOCode: "NL-NH", RegionName: "North Holland", CityName: "Amsterdam", Timezone: "Europe/Amsterdam",
			},
			AS: finding.AS{Number: 64500, Organization: finding.Named{Name: "Example Networks"}},
		},
		"198.51.100.7": {Geo: finding.Geo{
			Location: &finding.Point{Lat: 37.75, Lon: -97.82}, ContinentCode: "NA", ContinentName: "Continent of United States",
			CountryISOCode: "US", CountryName: "United States", Timezone: "Europe/Amsterdam",
		}},
		"198.51.100.200": {},
		"2001:db8::1": {
			Geo: finding.Geo{
				Location: &finding.Point{Lat: 35.68, Lon: 139.69}, ContinentCode: "AS", ContinentName: "Continent of Japan", CountryISOCode: "JP",
				CountryName: "Japan", RegionISOCode: "JP-13", RegionName: "Tokyo", CityName: "Tokyo", Timezone: "Europe/Amsterdam",
			},
			AS: finding.AS{Number: 4200000000, Organization: finding.Named{Name: "Example Six"}},
		},
		"2001:db9::1": {},
		"192.0.2.1": {Geo: finding.Geo{
			ContinentCode: "EU", ContinentName: "Continent of Germany", CountryISOCode: "DE", CountryName: "Germany",
			RegionISOCode: "DE-BE", RegionName: "Land Berlin", CityName: "Berlin", Timezone: "Europe/Amsterdam",
		}},
	} {
		for range 2 { // from the file, and from the cache
			if diff := cmp.Diff(want, d.Locate(netip.MustParseAddr(addr))); diff != "" {
				t.Errorf("%s: %s", addr, diff)
			}
		}
	}
}

func TestOneOfTheFilesIsEnough(t *testing.T) {
	city, asn := both(t)
	addr := netip.MustParseAddr("203.0.113.24")
	if p := open(t, Options{City: city}).Locate(addr); p.Geo.CountryISOCode != "NL" || p.AS.Number != 0 {
		t.Errorf("%+v", p)
	}
	if p := open(t, Options{ASN: asn}).Locate(addr); p.Geo != (finding.Geo{}) || p.AS.Number != 64500 {
		t.Errorf("%+v", p)
	}
	if p := open(t, Options{}).Locate(addr); p != (finding.Place{}) {
		t.Errorf("%+v", p)
	}
}

func TestFilesThatCannotBeUsedAreRefusedWithTheirNameAndWhy(t *testing.T) {
	dir := t.TempDir()
	good := cityFile("Amsterdam")
	flat := writeMMDB("ipinfo flat", 24, network{"1.0.0.0/8", values{"country": "NL", "city": "Amsterdam"}})
	domain := writeMMDB("GeoIP2-Domain", 24, network{"1.0.0.0/8", values{"domain": "example.com"}})
	empty := writeMMDB("GeoLite2-City", 24)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"half a file":            {good[:len(good)/2], "no MaxMind DB file, or a part of one"},
		"an empty file":          {nil, "no MaxMind DB file"},
		"a page of the web":      {[]byte("<html>quota exceeded</html>"), "no MaxMind DB file"},
		"a database of networks": {asnFile(), `of the type "GeoLite2-ASN"`},
		"another form":           {flat, "not of the form of MaxMind's files"},
		"another subject":        {domain, `"GeoIP2-Domain", which says nothing`},
		"nothing in it":          {empty, "it knows no address"},
	} {
		path := write(t, filepath.Join(dir, strings.ReplaceAll(name, " ", "-")), c.data)
		if _, err := Open(Options{City: path}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Open(Options{City: filepath.Join(dir, "missing.mmdb"), ASN: dir})
	if err == nil || !strings.Contains(err.Error(), "missing.mmdb: no such file") || !strings.Contains(err.Error(), "it is no regular file") {
		t.Errorf("both problems must be told: %v", err)
	}
	if _, err := Open(Options{ASN: write(t, filepath.Join(dir, "c"), good)}); err == nil || !strings.Contains(err.Error(), `"GeoLite2-City"`) {
		t.Errorf("a city database as the ASN database: %v", err)
	}
}

// replace puts data in the place of path in one step, as tools that update these files do.
func replace(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.Rename(write(t, path+".new", data), path); err != nil {
		t.Fatal(err)
	}
}

func TestReplacedFilesAreUsedAndBadOnesLeaveTheOldInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		city, asn := both(t)
		var log bytes.Buffer
		registry := prometheus.NewRegistry()
		d := open(t, Options{City: city, ASN: asn, Registerer: registry, Logger: slog.New(slog.NewJSONHandler(&log, nil))})
		ctx, stop := context.WithCancel(t.Context())
		go d.Run(ctx, 30*time.Second)
		defer stop()
		name := func() string { return d.Locate(netip.MustParseAddr("203.0.113.24")).Geo.CityName }
		expect := func(when, want string, ok, failed float64) {
			t.Helper()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if got := name(); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
			if n := testutil.ToFloat64(d.reloads.WithLabelValues("city", "ok")); n != ok {
				t.Errorf("%s: %v good reloads, want %v", when, n, ok)
			}
			if n := testutil.ToFloat64(d.reloads.WithLabelValues("city", "failed")); n != failed {
				t.Errorf("%s: %v failed reloads, want %v", when, n, failed)
			}
		}
		expect("at first", "Amsterdam", 0, 0)
		replace(t, city, cityFile("Haarlem"))
		expect("after a replacement", "Haarlem", 1, 0)
		write(t, city, cityFile("Zaandam")) // in place
		expect("after it was written over", "Zaandam", 2, 0)
		write(t, city, cityFile("Leiden")[:300])
		expect("after half a file", "Zaandam", 2, 1)
		replace(t, city, asnFile())
		expect("after a file of the wrong kind", "Zaandam", 2, 2)
		if err := os.Remove(city); err != nil {
			t.Fatal(err)
		}
		expect("after it was removed", "Zaandam", 2, 3)
		replace(t, city, cityFile("Leiden"))
		expect("after a good one came", "Leiden", 3, 3)
		if n := strings.Count(log.String(), "the old one stays in use"); n != 3 {
			t.Errorf("each bad file must be told once, and %d lines do:\n%s", n, log.String())
		}
		if testutil.ToFloat64(d.built.WithLabelValues("city")) != 1772619320 {
			t.Error("the age of the database is not told")
		}
	})
}

func TestLookupsGoOnWhileFilesAreReplaced(t *testing.T) {
	city, _ := both(t)
	d := open(t, Options{City: city})
	addr := netip.MustParseAddr("203.0.113.24")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for n := byte(0); ; n++ {
				select {
				case <-done:
					return
				default:
				}
				a4 := addr.As4()
				a4[3] = n
				if p := d.Locate(netip.AddrFrom4(a4)); p.Geo.CountryISOCode != "NL" {
					t.Errorf("%+v", p)
					return
				}
			}
		})
	}
	for i := range 50 {
		replace(t, city, cityFile(fmt.Sprint("City ", i)))
		d.refresh(d.city) // changing
		if what := d.refresh(d.city); what != replaced {
			t.Errorf("replacement %d: %d", i, what)
		}
	}
	close(done)
	readers.Wait()
}

func TestTheCacheIsBounded(t *testing.T) {
	city, _ := both(t)
	d := open(t, Options{City: city})
	for i := range 50_000 {
		d.Locate(netip.AddrFrom4([4]byte{203, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	db := d.city.current.Load()
	if n := len(db.now) + len(db.before); n > 2*cacheHalf {
		t.Errorf("%d places are kept", n)
	}
}

func TestErrorsOfADatabaseAreCountedAndNoMore(t *testing.T) {
	city, _ := both(t)
	d := open(t, Options{City: city})
	data := cityFile("Amsterdam")
	db, err := newDatabase(data, decodeCity)
	if err != nil {
		t.Fatal(err)
	}
	end := bytes.Index(data, []byte("MaxMind.com"))
	copy(data[:end], bytes.Repeat([]byte{0xff}, end)) // bad memory
	d.city.current.Store(db)
	if p := d.Locate(netip.MustParseAddr("203.0.113.99")); p != (finding.Place{}) {
		t.Errorf("%+v", p)
	}
	db.reader = nil // whatever else may go wrong
	if p := d.Locate(netip.MustParseAddr("203.0.113.98")); p != (finding.Place{}) {
		t.Errorf("%+v", p)
	}
	if n := testutil.ToFloat64(d.errors.WithLabelValues("city")); n != 2 {
		t.Errorf("%v errors are counted", n)
	}
}

func FuzzADamagedFileNeverEndsTheProcess(f *testing.F) {
	good := cityFile("Amsterdam")
	f.Add(uint32(0), []byte{0xff}, true)
	f.Add(uint32(len(good)-40), []byte("\x00\xff\xff"), false)
	f.Add(uint32(300), []byte("\xe1\x20\x00"), true)
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.24"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("9.9.9.9")}
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, cut bool) {
		data := bytes.Clone(good)
		from := int(at) % len(data)
		copy(data[from:], patch)
		if cut {
			data = data[:max(from, 1)]
			data = append(data, good[len(good)-200:]...)
		}
		db, err := newDatabase(data, decodeCity)
		if err != nil {
			return
		}
		for _, addr := range addrs {
			geo, _ := db.lookup(addr)
			if _, err := json.Marshal(geo); err != nil {
				t.Fatalf("no JSON: %v", err)
			}
		}
	})
}
