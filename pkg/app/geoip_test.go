package app

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

const geoFiles = "../geoip/testdata"

func TestTheServiceSaysWhichPlacesItKnows(t *testing.T) {
	s := makeService(t, "FORETOP_FILE_PATHS="+t.TempDir(), "FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1",
		"FORETOP_GEOIP_CITY="+filepath.Join(geoFiles, "city.mmdb"), "FORETOP_GEOIP_ASN="+filepath.Join(geoFiles, "asn.mmdb"))
	all := s.components()
	last := all[len(all)-1]
	if last.Kind != "geoip" || !last.Ready || last.Detail != "city of 2026-03-04, asn of 2026-03-04" {
		t.Errorf("%+v", last)
	}
}

func TestAMissingGeoIPFileKeepsTheServiceFromStarting(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "city.mmdb")
	cfg, err := LoadConfig([]string{
		"FORETOP_FILE_PATHS=" + t.TempDir(), "FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1", "FORETOP_STATE_DIR=" + t.TempDir(), "FORETOP_GEOIP_CITY=" + missing,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = newService(cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "FORETOP_GEOIP_CITY") || !strings.Contains(err.Error(), missing) {
		t.Errorf("got %v", err)
	}
}

func TestTheRegionOfASourceIsTheDecodersWhereNothingElseSaysIt(t *testing.T) {
	cfg, err := LoadConfig([]string{
		"FORETOP_FILE_PATHS=" + t.TempDir(), "FORETOP_FILE_CLOUD_REGION=eu-west-1", "FORETOP_ELASTICSEARCH_ADDRESSES=http://127.0.0.1:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := cfg.decodeOptions(&cfg.Sources[0]); err != nil || o.Cloud.Region != "eu-west-1" {
		t.Errorf("%+v, %v", o, err)
	}
}
