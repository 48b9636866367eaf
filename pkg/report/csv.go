package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foretop/foretop/pkg/finding"
)

// CSV writes one line per finding under a line of titles (RFC 4180). A cell that a spreadsheet would
// take for a formula begins with an apostrophe; control characters are visible escapes, so that a
// finding is one line. It is not safe for concurrent use.
type CSV struct {
	w       *csv.Writer
	started bool
}

var csvTitles = []string{
	"time", "severity", "risk_score", "rule", "rule_id", "reason", "actor", "impersonated", "identity_kind", "source_address", "user_agent",
	"cluster", "namespace", "resource", "name", "verb", "outcome", "response_code", "techniques", "audit_id", "finding_id",
}

// NewCSV makes a CSV writer.
func NewCSV(w io.Writer) *CSV { return &CSV{w: csv.NewWriter(w)} }

// Write adds a finding.
func (c *CSV) Write(f *finding.Finding) error {
	if err := c.begin(); err != nil {
		return err
	}
	resource := f.Orchestrator.Resource.Type
	if sub := f.Kubernetes.Audit.ObjectRef.Subresource; sub != "" {
		resource += "/" + sub
	}
	code := ""
	if n := f.HTTP.Response.StatusCode; n != 0 {
		code = strconv.Itoa(n)
	}
	row := []string{
		f.Timestamp.UTC().Format(time.RFC3339Nano), f.Foretop.SeverityName, strconv.FormatFloat(f.Event.Risk, 'f', -1, 64),
		f.Message, f.Rule.ID, f.Event.Reason, f.Actor(), f.User.Effective.Name, f.Foretop.Identity.Kind, f.Source.Address, f.UserAgent.Original,
		f.Orchestrator.Cluster.Name, f.Orchestrator.Namespace, resource, f.Orchestrator.Resource.Name, f.Event.Action, f.Event.Outcome, code,
		strings.Join(slices.Concat(f.Threat.Technique.ID, f.Threat.Technique.Subtechnique.ID), " "),
		strings.Join(f.Kubernetes.Audit.AuditID, " "), f.Event.ID,
	}
	for i, text := range row {
		row[i] = cell(text)
	}
	if err := c.w.Write(row); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

func (c *CSV) begin() error {
	if c.started {
		return nil
	}
	c.started = true
	if err := c.w.Write(csvTitles); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// Flush writes what is buffered; the titles too if there was no finding.
func (c *CSV) Flush() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.w.Flush()
	if err := c.w.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// cell makes text safe in a spreadsheet (https://owasp.org/www-community/attacks/CSV_Injection): blanks
// before a formula do not make it harmless, nor do the full-width forms of its first character.
func cell(text string) string {
	text = finding.Visible(text)
	if lead := strings.TrimLeft(text, " \u00a0\u3000'\""); lead != "" && strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20\\", []rune(lead)[0]) {
		return "'" + text
	}
	return text
}
