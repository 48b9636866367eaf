package sigma

import (
	"strings"
	"testing"
)

// load reads one file and fails on any error problem.
func load(t *testing.T, text string) *Collection {
	t.Helper()
	c := Load([]File{{Name: "rules.yml", Data: []byte(text)}}, Options{})
	for _, p := range c.Problems {
		if !p.Warning {
			t.Errorf("unexpected problem: %v", p)
		}
	}
	return c
}

const ownRule = `title: Privileged container
id: 6f0d1c7e-2b7a-4a53-9d55-0a3f4c0b7f52
name: privileged-container
status: stable
description: A container that runs with all of the node's rights was created or changed.
logsource: {product: kubernetes, service: audit, category: container}
detection:
  write: {verb: [create, update, patch], outcome: [success, unknown], dryRun: false}
  privileged: {container.securityContext.privileged: true}
  condition: write and privileged
falsepositives: [Node agents (CNI, CSI, monitoring) that a platform team deploys]
level: high
tags: [attack.privilege_escalation, attack.t1611]
x-foretop:
  needs: {level: Request, providers: {eks: yes, gke: yes, aks: yes}}
  reason: "{user.username} runs {container.name} ({image.repository}) privileged in {workload.kind} {objectRef.namespace}/{workload.name}"
  respond: Ask the owner; delete the workload if nobody claims it; then look at what it did on its node.
`

const ownFilter = `title: Node agents that ship with a distribution
id: 0d4f6f0e-0b1e-4a52-8a55-6a8f1f6f2a11
logsource: {product: kubernetes, service: audit, category: container}
filter:
  rules: [privileged-container]
  agent:
    image.registry: registry.k8s.io
    image.repository: kube-proxy
  condition: not agent
x-foretop: {owner: foretop, reason: kube-proxy needs the host's network tables}
`

func TestARuleAndItsFilterLoadFromOneFile(t *testing.T) {
	c := load(t, ownRule+"---\n"+ownFilter)
	if len(c.Problems) != 0 || len(c.Rules) != 1 || len(c.Filters) != 1 {
		t.Fatalf("got %d rules, %d filters, problems %v", len(c.Rules), len(c.Filters), c.Problems)
	}
	r := c.Rules[0]
	if !r.Own || r.Level != High || r.Foretop.Needs.Providers["eks"] != "yes" || r.Foretop.Controlled != "ignore" {
		t.Errorf("rule not as written: %+v", r)
	}
	if got := c.FiltersFor(r); len(got) != 1 || got[0] != c.Filters[0] {
		t.Errorf("FiltersFor = %v", got)
	}
	if want := (Position{"rules.yml", strings.Count(ownRule, "\n") + 2}); c.Filters[0].Source != want {
		t.Errorf("filter at %v, want %v", c.Filters[0].Source, want)
	}
}
