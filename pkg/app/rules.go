// Package app puts Foretop together: configuration, sources, the judge, sinks. It is the only package that
// knows all adapters.
package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foretop/foretop/pkg/config"
	"github.com/foretop/foretop/pkg/engine"
	"github.com/foretop/foretop/pkg/sigma"
)

// RuleOptions say which rules to load.
type RuleOptions struct {
	// Builtin are the rules that come with the program; nil means none.
	Builtin fs.FS
	// Paths are directories with rules, or single files.
	Paths []string
	// Placeholders is the file with the site's lists; empty means none.
	Placeholders string
	// SkipInvalid loads the valid rules of a set in which others are invalid.
	SkipInvalid bool
	// TrustedProxies are skipped when the client is looked for; nil means the provider's defaults.
	TrustedProxies []netip.Prefix
}

// Rules is a compiled set with what is known about its making. It is immutable.
type Rules struct {
	Set        *engine.Set
	Collection *sigma.Collection
	// Problems are those of reading and compiling, warnings among them.
	Problems []sigma.Problem
	// fingerprint is over everything that was read.
	fingerprint [sha256.Size]byte
}

// Invalid counts the problems that reject a document.
func (r *Rules) Invalid() int { return len(rejecting(r.Problems)) }

// BadRulesError is returned for a set with invalid documents.
type BadRulesError struct{ Problems []sigma.Problem }

// maxShownProblems bounds the problems that an error message lists.
const maxShownProblems = 20

func (e *BadRulesError) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "rules that cannot be used (%d); correct them, or skip invalid rules:", len(e.Problems))
	for i, p := range e.Problems {
		if i == maxShownProblems {
			fmt.Fprintf(&out, "\n  and %d more; `foretop rules lint` lists all", len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&out, "\n  %s", p.Error())
	}
	return out.String()
}

// LoadRules reads and compiles a set. With invalid documents it returns the set together with a
// *BadRulesError, unless they are to be skipped; any other error comes without a set.
func LoadRules(o RuleOptions) (*Rules, error) {
	in, err := o.read()
	if err != nil {
		return nil, err
	}
	return o.compile(in)
}

// builtinPrefix stands before the names of built-in rule files.
const builtinPrefix = "builtin:/"

// ruleInput is everything that a set is made of.
type ruleInput struct {
	files       []sigma.File
	lists       map[string][]string
	fingerprint [sha256.Size]byte
}

func (o RuleOptions) read() (*ruleInput, error) {
	in := &ruleInput{}
	if o.Builtin != nil {
		files, err := sigma.ReadDir(o.Builtin, ".")
		if err != nil {
			return nil, fmt.Errorf("built-in rules: %w", err)
		}
		in.add(builtinPrefix, files)
	}
	for _, path := range o.Paths {
		if err := in.addPath(path); err != nil {
			return nil, fmt.Errorf("rules: %w", err)
		}
	}
	if o.Placeholders != "" {
		lists, err := config.ReadPlaceholders(o.Placeholders)
		if err != nil {
			return nil, fmt.Errorf("placeholders: %w", err)
		}
		in.lists = lists
	}
	if len(in.files) == 0 {
		return nil, errors.New("rules: no rule files found: name a directory that holds .yml files")
	}
	in.sum()
	return in, nil
}

func (in *ruleInput) add(prefix string, files []sigma.File) {
	for _, f := range files {
		in.files = append(in.files, sigma.File{Name: prefix + f.Name, Data: f.Data})
	}
}

func (in *ruleInput) addPath(path string) error {
	dir, root := filepath.Clean(path), "."
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		dir, root = filepath.Dir(path), filepath.Base(path)
	}
	files, err := sigma.ReadDir(os.DirFS(dir), root)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	in.add(dir+string(filepath.Separator), files)
	return nil
}

// sum makes the fingerprint; every part goes in with its length, so that no two inputs look alike.
func (in *ruleInput) sum() {
	h := sha256.New()
	for _, f := range in.files {
		fmt.Fprintf(h, "%q %d\n", f.Name, len(f.Data))
		h.Write(f.Data)
	}
	fmt.Fprintf(h, "%q", in.lists) // fmt prints maps in the order of their keys
	in.fingerprint = [sha256.Size]byte(h.Sum(nil))
}

func (o RuleOptions) compile(in *ruleInput) (*Rules, error) {
	collection := sigma.Load(in.files, sigma.Options{Placeholders: in.lists})
	options := engine.Options{}
	if o.TrustedProxies != nil {
		options.TrustedProxies = func(string) []netip.Prefix { return o.TrustedProxies }
	}
	set, problems := engine.Compile(collection, options)
	r := &Rules{
		Set: set, Collection: collection, fingerprint: in.fingerprint,
		Problems: append(slices.Clip(collection.Problems), problems...),
	}
	if bad := rejecting(r.Problems); len(bad) > 0 && !o.SkipInvalid {
		return r, &BadRulesError{Problems: bad}
	}
	if len(set.Rules()) == 0 {
		return r, errors.New("rules: none of the rule files holds a rule for Kubernetes audit logs")
	}
	return r, nil
}

func rejecting(problems []sigma.Problem) []sigma.Problem {
	var bad []sigma.Problem
	for _, p := range problems {
		if !p.Warning {
			bad = append(bad, p)
		}
	}
	return bad
}
