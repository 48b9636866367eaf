package app

import (
	"github.com/foretop/foretop/pkg/finding"
	"github.com/foretop/foretop/pkg/geoip"
)

// locate opens the databases that o names, for the findings that f describes. It returns nil if o names none.
func locate(o geoip.Options, f *finding.Options) (*geoip.Databases, error) {
	if o.City == "" && o.ASN == "" {
		return nil, nil //nolint:nilnil // nothing was asked for
	}
	d, err := geoip.Open(o)
	if err != nil {
		return nil, err
	}
	f.Locator = d
	return d, nil
}
