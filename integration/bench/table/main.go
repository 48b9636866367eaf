// Table reads the output of several rounds of the benchmarks from standard input and prints what they mean: one table for
// each kind of traffic, and the targets with what was reached.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	r, err := parse(in)
	if err != nil {
		return err
	}
	if len(r.rounds) == 0 {
		return errors.New("no row of a benchmark was found")
	}
	write(out, r)
	return nil
}
