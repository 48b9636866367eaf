package event

import (
	"bytes"
	"net/netip"
)

// ParseAddrBytes is ParseAddr for text that is bytes. It does not allocate, and keeps nothing of b.
func ParseAddrBytes(b []byte) (netip.Addr, bool) {
	b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("[")), []byte("]"))
	switch at := bytes.IndexAny(b[:min(len(b), 5)], ".:"); {
	case at < 0:
		return netip.Addr{}, false // the first group of either kind is shorter
	case b[at] == '.':
		var ip [4]byte
		if !parseFour(ip[:], b) {
			return netip.Addr{}, false
		}
		return netip.AddrFrom4(ip), true
	}
	if zone := bytes.IndexByte(b, '%'); zone >= 0 {
		if zone == len(b)-1 {
			return netip.Addr{}, false
		}
		b = b[:zone]
	}
	ip, ok := parseSixteen(b)
	if !ok {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16(ip).Unmap(), true
}

// parseFour reads four decimal numbers with dots between them.
func parseFour(ip, b []byte) bool {
	for n := range ip {
		digits, value := 0, 0
		for ; digits < len(b) && b[digits]-'0' <= 9; digits++ {
			if value = value*10 + int(b[digits]-'0'); value > 255 {
				return false
			}
		}
		if digits == 0 || digits > 1 && b[0] == '0' {
			return false
		}
		ip[n] = byte(value)
		if b = b[digits:]; n == len(ip)-1 {
			break
		}
		if len(b) == 0 || b[0] != '.' {
			return false
		}
		b = b[1:]
	}
	return len(b) == 0
}

// parseSixteen reads groups of hexadecimal digits with colons between them. Two colons stand for at least one group of
// zeros, and four decimal numbers for the last two groups.
func parseSixteen(b []byte) (ip [16]byte, ok bool) {
	n, gap := 0, -1 // bytes read, and how many of them before the two colons
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for more := gap < 0; more || len(b) > 0; {
		if n == len(ip) {
			return ip, false
		}
		digits, value := 0, 0
		for ; digits < len(b) && digits <= 4; digits++ {
			d := hexValue(b[digits])
			if d < 0 {
				break
			}
			value = value<<4 | d
		}
		if digits == 0 || digits > 4 {
			return ip, false
		}
		if digits < len(b) && b[digits] == '.' {
			if n > 12 || gap < 0 && n != 12 || !parseFour(ip[n:n+4], b) {
				return ip, false
			}
			n += 4
			break
		}
		ip[n], ip[n+1] = byte(value>>8), byte(value)
		n += 2
		if b = b[digits:]; len(b) == 0 {
			break
		}
		if b[0] != ':' {
			return ip, false
		}
		b, more = b[1:], true // a group must follow
		if len(b) > 0 && b[0] == ':' {
			if gap >= 0 {
				return ip, false
			}
			gap, b, more = n, b[1:], false
		}
	}
	if gap < 0 || n == len(ip) {
		return ip, gap < 0 && n == len(ip)
	}
	tail := n - gap
	copy(ip[len(ip)-tail:], ip[gap:n])
	clear(ip[gap : len(ip)-tail])
	return ip, true
}

func hexValue(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case c|0x20-'a' <= 5:
		return int(c|0x20-'a') + 10
	}
	return -1
}
