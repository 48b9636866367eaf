// Package ruleset makes the sets of rules that the benchmarks judge with.
package ruleset

import (
	"errors"
	"fmt"
	"slices"

	"github.com/foretop/foretop/detections"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// Shipped is the set of the rules and exceptions that come with Foretop. It fails on any problem, warnings included.
func Shipped() (*engine.Set, error) {
	files, err := sigma.ReadDir(detections.FS, ".")
	if err != nil {
		return nil, err
	}
	return compile(files)
}

// None is a set without rules: what judging costs before any rule asks for anything.
func None() (*engine.Set, error) { return compile(nil) }

// compile loads and compiles; a rule that would be left out makes the set another one than its name says, so every
// problem is an error.
func compile(files []sigma.File) (*engine.Set, error) {
	return compileCollection(sigma.Load(files, sigma.Options{}))
}

func compileCollection(collection *sigma.Collection) (*engine.Set, error) {
	set, problems := engine.Compile(collection, engine.Options{})
	errs := make([]error, 0, len(problems))
	for _, p := range append(collection.Problems, problems...) {
		errs = append(errs, fmt.Errorf("%s", p.Error()))
	}
	return set, errors.Join(errs...)
}

// ShippedDerived are the shipped rules about derived records (one container, one volume, one subject), with their exceptions.
func ShippedDerived() (*engine.Set, error) {
	files, err := sigma.ReadDir(detections.FS, ".")
	if err != nil {
		return nil, err
	}
	return compileDerived(files)
}

// GeneratedDerived are those of n generated rules that are about derived records.
func GeneratedDerived(n int) (*engine.Set, error) { return compileDerived(Files(n)) }

func compileDerived(files []sigma.File) (*engine.Set, error) {
	collection := sigma.Load(files, sigma.Options{})
	collection.Rules = slices.DeleteFunc(collection.Rules, func(r *sigma.Rule) bool { return r.Logsource.Category == "" })
	return compileCollection(collection)
}
