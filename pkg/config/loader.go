package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Origin says where a value came from.
type Origin string

// Origins of a value. Unset settings have neither a value nor a default.
const (
	FromEnv     Origin = "env"
	FromFile    Origin = "file"
	FromDefault Origin = "default"
	Unset       Origin = "unset"
)

// Value is a setting with what was given for it.
type Value struct {
	Variable
	// Text may be shown: it is masked if the setting is secret.
	Text   string
	Origin Origin
	// File is where a value with origin FromFile was read.
	File string
}

// Loader fills configuration structs from one environment and remembers which names it read, so that it
// can say at the end which ones nobody asked for. It collects every problem instead of stopping at the
// first one. A Loader is used once, by one goroutine.
type Loader struct {
	env      map[string]string
	known    map[string]bool
	inactive map[string]string // why a known variable is not read
	defaults map[string]string // instead of those of the tags
	values   []Value
	problems []error
}

// NewLoader reads environ, in the form of os.Environ.
func NewLoader(environ []string) *Loader {
	l := &Loader{env: make(map[string]string), known: make(map[string]bool), inactive: make(map[string]string), defaults: make(map[string]string)}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, Prefix+"_") && !injectedByKubernetes(name, value) {
			l.env[name] = value
		}
	}
	return l
}

// Fill sets the fields of spec, a pointer to a struct, from the variables under prefix, and calls its
// Validate method if it has one and every field could be read. An empty variable counts as not set,
// since templates produce them.
func (l *Loader) Fill(prefix string, spec any) {
	before := len(l.problems)
	for _, s := range settings(prefix, structOf(spec)) {
		if l.known[s.Name] {
			l.Reject(fmt.Errorf("%s means two settings: give one of the sources another name", s.Name))
			continue
		}
		l.known[s.Name], l.known[s.Name+fileSuffix] = true, true
		l.set(s)
	}
	v, ok := spec.(interface{ Validate() error })
	if !ok || len(l.problems) > before {
		return
	}
	if err := v.Validate(); err != nil {
		l.Reject(fmt.Errorf("%s_*: %w", prefix, err))
	}
}

// Inactive declares the variables of a struct that nothing asks for in this configuration, with the
// reason. A value given for one of them is a problem: nobody would notice that it has no effect.
func (l *Loader) Inactive(prefix string, spec any, why string) {
	for _, v := range Describe(prefix, spec) {
		l.inactive[v.Name], l.inactive[v.Name+fileSuffix] = why, why
	}
}

// Default gives a variable another default than its tag does, where another setting decides about it.
func (l *Loader) Default(name, value string) { l.defaults[name] = value }

// Ignore declares the variables of a struct that other commands read, so that one environment serves all of
// them.
func (l *Loader) Ignore(prefix string, spec any) {
	for _, v := range Describe(prefix, spec) {
		l.known[v.Name], l.known[v.Name+fileSuffix] = true, true
	}
}

// Given is true if the environment holds a value for a variable of spec under prefix.
func (l *Loader) Given(prefix string, spec any) bool {
	for _, v := range Describe(prefix, spec) {
		if l.env[v.Name] != "" || l.env[v.Name+fileSuffix] != "" {
			return true
		}
	}
	return false
}

// Reject adds a problem that the caller found.
func (l *Loader) Reject(err error) { l.problems = append(l.problems, err) }

// Values are the settings filled so far, in order.
func (l *Loader) Values() []Value { return l.values }

// FileOf is the file that a variable's value came from, empty if it came from elsewhere.
func (l *Loader) FileOf(name string) string {
	for _, v := range l.values {
		if v.Name == name {
			return v.File
		}
	}
	return ""
}

// Finish returns every problem, joined, among them the variables that no setting has. Nil means that the
// configuration is complete.
func (l *Loader) Finish() error {
	return errors.Join(append(l.problems, l.unknown()...)...)
}

func (l *Loader) set(s setting) {
	raw, origin, err := l.lookup(s.Variable)
	if err == nil && origin != Unset {
		err = parse(s, raw)
	}
	if err != nil {
		l.Reject(err)
		return
	}
	v := Value{Variable: s.Variable, Text: shown(s.Variable, raw), Origin: origin}
	if origin == FromFile {
		v.File = l.env[s.Name+fileSuffix]
	}
	l.values = append(l.values, v)
}

// lookup finds the text of a setting. It is not left to envconfig, which falls back from
// FORETOP_FILE_PATH to PATH, knows no files, and takes an empty variable for a given one.
func (l *Loader) lookup(v Variable) (string, Origin, error) {
	value, path := l.env[v.Name], l.env[v.Name+fileSuffix]
	if def := l.defaults[v.Name]; def != "" {
		v.Default = def
	}
	switch {
	case value != "" && path != "":
		return "", Unset, fmt.Errorf("%s and %s%s are both set: keep one", v.Name, v.Name, fileSuffix)
	case value != "":
		return value, FromEnv, nil
	case path != "":
		text, err := readValue(path)
		if err != nil {
			return "", Unset, fmt.Errorf("%s%s: %w", v.Name, fileSuffix, err)
		}
		return text, FromFile, nil
	case v.Default != "":
		return v.Default, FromDefault, nil
	case v.Required:
		return "", Unset, fmt.Errorf("%s is required: %s", v.Name, v.Meaning)
	}
	return "", Unset, nil
}

// maxValueFile bounds a file that holds one value, in bytes.
const maxValueFile = 1 << 20

func readValue(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxValueFile+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxValueFile {
		return "", fmt.Errorf("%s is larger than %s: it should hold one value", path, Bytes(maxValueFile))
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if text == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return text, nil
}

// parse converts the text into the field. envconfig does it, one field at a time, because it stops at the
// first error; the text goes in as the field's default, under a name that no environment can hold.
func parse(s setting, raw string) error {
	if s.field.Kind() == reflect.Slice && !decodesItself(s.field.Type()) {
		if raw = trimmedList(raw); raw == "" && s.Required {
			return fmt.Errorf("%s is required and holds an empty list: %s", s.Name, s.Meaning)
		}
	}
	one := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Value",
		Type: s.field.Type(),
		Tag:  reflect.StructTag("default:" + strconv.Quote(raw)),
	}}))
	if err := envconfig.Process("=", one.Interface()); err != nil {
		return parseError(s, raw, err)
	}
	s.field.Set(one.Elem().Field(0))
	return nil
}

// trimmedList removes blanks around the parts of a list, and empty parts.
func trimmedList(raw string) string {
	var parts []string
	for part := range strings.SplitSeq(raw, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ",")
}

// parseError says what was expected. The error of envconfig quotes the value, so it is never passed on:
// only the cause is, and that not for secrets.
func parseError(s setting, raw string, err error) error {
	if s.Secret {
		return fmt.Errorf("%s cannot be read as %s (the value is secret and not shown)", s.Name, typeName(s.field.Type()))
	}
	const most = 64
	text := shown(s.Variable, raw)
	if len(text) > most {
		text = text[:most] + "..."
	}
	hint := "write " + s.Type
	switch {
	case s.field.Type() == reflect.TypeFor[time.Duration]():
		hint = "write a number with its unit, for example 30s, 5m or 1h"
	case s.field.Kind() == reflect.Map && !decodesItself(s.field.Type()):
		hint = "write name:value pairs with commas between them"
	case decodesItself(s.field.Type()) || s.field.Kind() == reflect.Slice:
		if cause, ok := errors.AsType[*envconfig.ParseError](err); ok {
			hint = userinfo.ReplaceAllString(cause.Err.Error(), "${1}***@")
		}
	}
	return fmt.Errorf("%s=%s: %s", s.Name, text, hint)
}
