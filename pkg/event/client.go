package event

import (
	"net/netip"
	"slices"
	"strings"
)

// ClientAddress picks the client out of sourceIPs: it walks from the right while the address is a
// trusted proxy and takes the first other one; if all are trusted, the leftmost. forwarded is true if
// the result is not the last entry: then the client may have chosen it (X-Forwarded-For), and no
// exception may rest on it.
func ClientAddress(sourceIPs []string, trusted []netip.Prefix) (address string, forwarded bool) {
	for i, sourceIP := range slices.Backward(sourceIPs) {
		if !inPrefixes(sourceIP, trusted) || i == 0 {
			return sourceIP, i != len(sourceIPs)-1
		}
	}
	return "", false
}

func inPrefixes(text string, prefixes []netip.Prefix) bool {
	addr, ok := ParseAddr(text)
	if !ok {
		return false
	}
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// ParseAddr reads an address as it occurs in sourceIPs: with an IPv6 zone, as an IPv4-mapped IPv6
// address, or in brackets. The result has no zone and is unmapped.
func ParseAddr(text string) (netip.Addr, bool) {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// TrustedProxies is the default for a provider: loopback everywhere (k3s and friends front the API server
// on the node), and the internal tunnel hop of AKS.
func TrustedProxies(provider string) []netip.Prefix {
	if provider == "aks" {
		return aksProxies
	}
	return loopbackProxies
}

var (
	loopbackProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	aksProxies      = append(loopbackProxies[:2:2], netip.MustParsePrefix("172.31.0.0/16"))
)
