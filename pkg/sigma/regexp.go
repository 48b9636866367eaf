package sigma

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// compileRegexp compiles a pattern for search, case-sensitive but for the flag i. affix anchors it. The
// second result is the size of its program: what it can cost per byte of an event.
func compileRegexp(pattern, flags, affix string) (*regexp.Regexp, int, error) {
	switch {
	case pattern == "":
		return nil, 0, errors.New("modifier \"re\" needs a regular expression; use exists to test presence")
	case len(pattern) > maxRegexpBytes:
		return nil, 0, fmt.Errorf("a regular expression has more than %d bytes; shorten it", maxRegexpBytes)
	}
	// Parsed alone first, so that no pattern can break out of the group around it.
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return nil, 0, explainRegexp(err)
	}
	full := pattern
	if flags != "" {
		full = "(?" + flags + ":" + full + ")"
	}
	switch affix {
	case "startswith":
		full = `\A(?:` + full + `)`
	case "endswith":
		full = `(?:` + full + `)\z`
	}
	tree, err := syntax.Parse(full, syntax.Perl)
	if err != nil {
		return nil, 0, explainRegexp(err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, 0, explainRegexp(err)
	}
	if len(prog.Inst) > maxRegexpInsts {
		return nil, 0, fmt.Errorf("the regular expression compiles to %d instructions, more than %d; use smaller repeat counts", len(prog.Inst), maxRegexpInsts)
	}
	re, err := regexp.Compile(full)
	if err != nil {
		return nil, 0, explainRegexp(err)
	}
	return re, len(prog.Inst), nil
}

// explainRegexp says which part of PCRE is missing: only RE2 runs in time linear in the event.
func explainRegexp(err error) error {
	var s *syntax.Error
	if !errors.As(err, &s) {
		return fmt.Errorf("the regular expression cannot be compiled: %w", err)
	}
	part := clip(s.Expr)
	switch {
	case s.Code == syntax.ErrInvalidPerlOp, strings.HasPrefix(part, "(?<=") || strings.HasPrefix(part, "(?<!"):
		return fmt.Errorf("the regular expression uses %s: look-around and other extensions of PCRE are not in RE2; put the second test into an item of its own, negated if need be", part)
	case s.Code == syntax.ErrInvalidEscape && len(part) > 1 && strings.ContainsAny(part[1:2], "123456789gk"):
		return fmt.Errorf("the regular expression uses the back-reference %s, which RE2 has not; write the alternatives out", part)
	case s.Code == syntax.ErrInvalidRepeatOp:
		return fmt.Errorf("the regular expression uses %s: possessive and doubled quantifiers are not in RE2; use a plain one", part)
	case s.Code == syntax.ErrInvalidRepeatSize:
		return fmt.Errorf("the regular expression repeats too often: %s; RE2 allows a count of 1000, nested counts multiplied", part)
	}
	return fmt.Errorf("the regular expression is wrong: %s: %s; fix it (the flavour is RE2)", s.Code, part)
}
