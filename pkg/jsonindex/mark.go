package jsonindex

import "encoding/binary"

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	lows  = ^uint64(highs)
)

// markPlain is mark in Go for any processor.
func markPlain(text []byte, quotes, backslashes, controls []uint64) (slashes, lowest uint64) {
	n := len(text) / 64
	slashes, lowest = markWords(text[:n*64], quotes, backslashes, controls)
	if n*64 < len(text) {
		last := tail(text[n*64:])
		s, c := markWords(last[:], quotes[n:], backslashes[n:], controls[n:])
		slashes, lowest = slashes|s, lowest|c
	}
	return slashes, lowest
}

// markWords marks the bytes of text, whose length is a multiple of 64, and returns all marks of backslashes and of
// control characters, or-ed together.
func markWords(text []byte, quotes, backslashes, controls []uint64) (slashes, lowest uint64) {
	for w := range len(text) / 64 {
		block := text[w*64 : w*64+64]
		var q, s, c uint64
		for k := 0; k < 64; k += 8 {
			v := binary.LittleEndian.Uint64(block[k:])
			q |= gather(zeroes(v^ones*'"')) << k
			s |= gather(zeroes(v^ones*'\\')) << k
			c |= gather(zeroes(v&(ones*0xe0))) << k
		}
		quotes[w], backslashes[w], controls[w] = q, s, c
		slashes |= s
		lowest |= c
	}
	return slashes, lowest
}

// zeroes has the high bit of each byte of v that is zero, and no other bit.
func zeroes(v uint64) uint64 { return ^(v&lows + lows | v | lows) }

// gather moves the high bits of eight bytes into the lowest eight bits, in their order.
func gather(v uint64) uint64 { return v >> 7 * 0x0102040810204080 >> 56 }

// tail gives the bytes of the last word, of which there are fewer than sixty-four, with spaces behind them.
func tail(text []byte) [64]byte {
	block := spaces
	copy(block[:], text)
	return block
}

var spaces = [64]byte([]byte("                                                                "))
