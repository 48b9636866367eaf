package geoip

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// What follows writes MaxMind DB files, https://maxmind.github.io/MaxMind-DB/: a binary tree over the bits of addresses
// whose leaves point into a section of encoded values, and metadata at the end.

type values = map[string]any

// network is one network and what is known about it.
type network struct {
	prefix string
	data   values
}

const (
	noData = -1
	noNode = -2
)

type mmdb struct {
	nodes [][2]int // index of the next node, noData, or noNode - 1 - offset of the data
	data  []byte
}

// writeMMDB makes a file for IPv6 and IPv4 with records of 24, 28 or 32 bits.
func writeMMDB(kind string, recordBits int, networks ...network) []byte {
	m := &mmdb{nodes: [][2]int{{noData, noData}}}
	for _, n := range networks {
		prefix := netip.MustParsePrefix(n.prefix)
		offset := len(m.data)
		m.data = encode(m.data, n.data)
		m.insert(prefix, offset)
	}
	var out []byte
	for _, node := range m.nodes {
		out = appendNode(out, recordBits, m.record(node[0]), m.record(node[1]))
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, m.data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return encode(out, values{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1772619320),
		"database_type": kind, "description": values{"en": "made up"}, "ip_version": uint16(6), "languages": []any{"en"},
		"node_count": uint32(len(m.nodes)), "record_size": uint16(recordBits),
	})
}

func (m *mmdb) insert(prefix netip.Prefix, offset int) {
	addr, bits := prefix.Addr().As16(), prefix.Bits()
	if prefix.Addr().Is4() { // IPv4 is ::/96 of the tree, where netip maps it to ::ffff:0:0/96
		addr[10], addr[11] = 0, 0
		bits += 96
	}
	at := 0
	for i := range bits {
		side := addr[i/8] >> (7 - i%8) & 1
		if i == bits-1 {
			m.nodes[at][side] = noNode - 1 - offset
			return
		}
		if m.nodes[at][side] < 0 {
			m.nodes = append(m.nodes, [2]int{m.nodes[at][side], m.nodes[at][side]})
			m.nodes[at][side] = len(m.nodes) - 1
		}
		at = m.nodes[at][side]
	}
}

func (m *mmdb) record(v int) uint32 {
	switch {
	case v == noData:
		return uint32(len(m.nodes))
	case v < noNode:
		return uint32(len(m.nodes) + 16 + (noNode - 1 - v))
	}
	return uint32(v)
}

func appendNode(out []byte, bits int, left, right uint32) []byte {
	switch bits {
	case 24:
		return append(out, byte(left>>16), byte(left>>8), byte(left), byte(right>>16), byte(right>>8), byte(right))
	case 28:
		return append(out, byte(left>>16), byte(left>>8), byte(left), byte(left>>24<<4|right>>24&0xf), byte(right>>16), byte(right>>8), byte(right))
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, left), right)
}

// Types of the format.
const (
	mmString, mmDouble, mmUint16, mmUint32, mmMap, mmUint64, mmArray = 2, 3, 5, 6, 7, 9, 11
)

func control(out []byte, kind, size int) []byte {
	first, extended := kind<<5, []byte(nil)
	if kind > 7 {
		first, extended = 0, []byte{byte(kind - 7)}
	}
	switch {
	case size < 29:
		return append(append(out, byte(first|size)), extended...)
	case size < 285:
		return append(append(append(out, byte(first|29)), extended...), byte(size-29))
	}
	return binary.BigEndian.AppendUint16(append(append(out, byte(first|30)), extended...), uint16(size-285))
}

func encode(out []byte, v any) []byte {
	number := func(kind int, n uint64) []byte {
		digits := strings.TrimLeft(string(binary.BigEndian.AppendUint64(nil, n)), "\x00")
		return append(control(out, kind, len(digits)), digits...)
	}
	switch v := v.(type) {
	case string:
		return append(control(out, mmString, len(v)), v...)
	case float64:
		return binary.BigEndian.AppendUint64(control(out, mmDouble, 8), math.Float64bits(v))
	case uint16:
		return number(mmUint16, uint64(v))
	case uint32:
		return number(mmUint32, uint64(v))
	case uint64:
		return number(mmUint64, v)
	case []any:
		out = control(out, mmArray, len(v))
		for _, e := range v {
			out = encode(out, e)
		}
		return out
	case values:
		out = control(out, mmMap, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = encode(encode(out, key), v[key])
		}
		return out
	}
	panic(fmt.Sprintf("the encoder knows no %T", v))
}
