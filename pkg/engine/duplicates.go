package engine

// withoutDuplicates appends v to dst, keeping of each object only the last member of a key, as encoding/json
// reads it. It is the slow path of an event that nobody's API server writes.
func withoutDuplicates(dst []byte, v span) []byte {
	switch {
	case v.isObject():
		last := make(map[string]int)
		n := 0
		for c := open(v); ; n++ {
			key, ok := c.key()
			if !ok {
				break
			}
			last[string(key)] = n
			c.value()
		}
		dst = append(dst, '{')
		first := true
		n = 0
		for c := open(v); ; n++ {
			before := c.i
			key, ok := c.key()
			if !ok {
				break
			}
			written := c.b[before:c.i] // the key as written, with its colon and perhaps the comma before it
			value := c.value()
			if last[string(key)] != n {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(dst, trimComma(written)...)
			dst = withoutDuplicates(dst, value)
		}
		return append(dst, '}')
	case v.isArray():
		dst = append(dst, '[')
		first := true
		for c := open(v); c.element(); {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = withoutDuplicates(dst, c.value())
		}
		return append(dst, ']')
	}
	return append(dst, v.bytes()...)
}

func trimComma(b []byte) []byte {
	for len(b) > 0 && (b[0] <= ' ' || b[0] == ',') {
		b = b[1:]
	}
	return b
}
