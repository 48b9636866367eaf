package report

import (
	"bytes"
	"encoding/csv"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/foretop/foretop/pkg/finding"
)

var csvTitles = []string{
	"time", "severity", "risk_score", "rule", "rule_id", "reason", "actor", "impersonated", "identity_kind", "source_address", "user_agent",
	"cluster", "namespace", "resource", "name", "verb", "outcome", "response_code", "techniques", "audit_id", "finding_id",
	"cloud_identity", "shared", "country", "network",
}

// CSVTitles is the first line of a CSV file of findings (RFC 4180), without its end.
func CSVTitles() []byte { return csvLine(csvTitles) }

// CSVLine is the line of a finding in a CSV file, without its end. A cell that a spreadsheet would take for a formula
// begins with an apostrophe; control characters are visible escapes, so that a finding is one line.
func CSVLine(f *finding.Finding) []byte {
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
		cloudIdentity(&f.Foretop.Identity), f.Foretop.Identity.SharedReason, f.Source.Geo.CountryISOCode, f.Source.AS.String(),
	}
	for i, text := range row {
		row[i] = cell(text)
	}
	return csvLine(row)
}

// csvWriter writes lines into its own buffer.
type csvWriter struct {
	line bytes.Buffer
	w    *csv.Writer
}

var csvWriters = sync.Pool{New: func() any {
	c := &csvWriter{}
	c.w = csv.NewWriter(&c.line)
	return c
}}

func csvLine(cells []string) []byte {
	c := csvWriters.Get().(*csvWriter)
	defer csvWriters.Put(c)
	c.line.Reset()
	if err := errors.Join(c.w.Write(cells), c.w.Error()); err != nil {
		panic(err) // a buffer takes everything
	}
	c.w.Flush()
	return bytes.Clone(bytes.TrimSuffix(c.line.Bytes(), []byte("\n")))
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
