package readers

import (
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"

	"github.com/foretop/foretop/integration/bench/ruleset"
)

// CEL evaluates conditions as CEL programs over an event that encoding/json decoded into a map. It is for one goroutine.
type CEL struct {
	rules    []string
	programs []cel.Program
	input    map[string]any
}

// NewCEL compiles the programs once, with the optimisations that the library offers for programs that run often.
func NewCEL(programs []ruleset.Program) (*CEL, error) {
	env, err := cel.NewEnv(cel.Variable("event", cel.MapType(cel.StringType, cel.DynType)), ext.Bindings())
	if err != nil {
		return nil, err
	}
	c := &CEL{input: make(map[string]any, 1)}
	for _, p := range programs {
		ast, issues := env.Compile(p.Expression)
		if issues.Err() != nil {
			return nil, fmt.Errorf("%s: %w", p.Rule, issues.Err())
		}
		program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Rule, err)
		}
		c.rules, c.programs = append(c.rules, p.Rule), append(c.programs, program)
	}
	return c, nil
}

// Judge decodes an event and calls match with the name of every rule that is true. An expression that cannot be evaluated, for
// want of a field say, is false, as it is for those who write such rules. Events at the stage RequestReceived are passed over.
func (c *CEL) Judge(event []byte, match func(rule string)) error {
	m, err := Map(event)
	if err != nil {
		return err
	}
	if m["stage"] == "RequestReceived" {
		return nil
	}
	c.input["event"] = m
	for i, p := range c.programs {
		out, _, err := p.Eval(c.input)
		if err == nil && out.Value() == true {
			match(c.rules[i])
		}
	}
	return nil
}
