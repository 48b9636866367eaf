package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestScanSaysWhereAddressesAre(t *testing.T) {
	const files = "../../pkg/geoip/testdata/"
	log := write(t, filepath.Join(t.TempDir(), "audit.log"), lines(strings.Replace(audit(1, "get", "alice"), "192.0.2.7", "203.0.113.24", 1), audit(2, "get", "alice")))
	base := []string{"scan", "--no-builtin", "--rules", rules(t), log, "--output", "ndjson"}
	out := foretop(t, nil, nil, append(base, "--geoip-city", files+"city.mmdb", "--geoip-asn", files+"asn.mmdb")...).want(t, 0).stdout
	var first, second struct {
		Source struct {
			Geo struct {
				Country  string `json:"country_iso_code"`
				Location *struct{ Lat, Lon float64 }
			}
			AS struct{ Number int }
		}
	}
	docs := strings.Split(strings.TrimSpace(out), "\n")
	if len(docs) != 2 {
		t.Fatalf("%d findings", len(docs))
	}
	for i, doc := range []any{&first, &second} {
		if err := json.Unmarshal([]byte(docs[i]), doc); err != nil {
			t.Fatal(err)
		}
	}
	if g := first.Source; g.Geo.Country != "NL" || g.Geo.Location == nil || g.Geo.Location.Lat != 52.37 || g.AS.Number != 64500 {
		t.Errorf("%+v", g)
	}
	if g := second.Source; g.Geo.Country != "DE" || g.Geo.Location != nil || g.AS.Number != 0 {
		t.Errorf("%+v", g)
	}
	r := foretop(t, nil, nil, append(base, "--geoip-city", files+"asn.mmdb")...).want(t, 1)
	if !strings.Contains(r.stderr, `it is of the type "GeoLite2-ASN"`) || r.stdout != "" {
		t.Errorf("%q", r.stderr)
	}
}
