package config

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"
)

// Prefix starts the name of every variable.
const Prefix = "FORETOP"

// fileSuffix marks the twin of a variable that names a file holding its value.
const fileSuffix = "_FILE"

// Variable describes one setting, from its struct tags:
//
//	Brokers []string `envconfig:"BROKERS" required:"true" desc:"host:port of some brokers"`
type Variable struct {
	// Name in the environment, in full: FORETOP_KAFKA_BROKERS.
	Name string
	// Type as a reader of the reference knows it: text, secret, size, duration, ...
	Type     string
	Default  string
	Meaning  string
	Required bool
	// Secret values are masked wherever they would be shown. The type Secret implies it; the tag
	// secret:"true" gives it to any other.
	Secret bool
}

// setting is a variable and the struct field that it fills.
type setting struct {
	Variable
	field reflect.Value
}

// Describe lists the variables of spec, a pointer to a struct, under a prefix, in the order of its fields.
func Describe(prefix string, spec any) []Variable {
	found := settings(prefix, structOf(spec))
	out := make([]Variable, len(found))
	for i := range found {
		out[i] = found[i].Variable
	}
	return out
}

// structOf is the struct behind spec. What is passed is written in the program, never read, so a wrong
// type is a bug.
func structOf(spec any) reflect.Value {
	v := reflect.ValueOf(spec)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: %T is no pointer to a struct", spec))
	}
	return v.Elem()
}

func settings(prefix string, s reflect.Value) []setting {
	var out []setting
	for i := range s.NumField() {
		f, v := s.Type().Field(i), s.Field(i)
		if !f.IsExported() || isTrue(f.Tag.Get("ignored")) {
			continue
		}
		name := prefix + "_" + variableName(f)
		if v.Kind() == reflect.Struct && !decodesItself(v.Type()) {
			if f.Anonymous {
				name = prefix
			}
			out = append(out, settings(name, v)...)
			continue
		}
		kind, secret := typeName(v.Type()), isTrue(f.Tag.Get("secret")) || holdsSecret(v.Type())
		if secret {
			kind = "secret"
		}
		out = append(out, setting{
			Variable: Variable{
				Name:     name,
				Type:     kind,
				Default:  f.Tag.Get("default"),
				Meaning:  f.Tag.Get("desc"),
				Required: isTrue(f.Tag.Get("required")),
				Secret:   secret,
			},
			field: v,
		})
	}
	return out
}

func variableName(f reflect.StructField) string {
	if name := f.Tag.Get("envconfig"); name != "" {
		return strings.ToUpper(name)
	}
	return strings.ToUpper(f.Name)
}

func isTrue(tag string) bool {
	b, err := strconv.ParseBool(tag)
	return err == nil && b
}

var (
	decoderType     = reflect.TypeFor[envconfig.Decoder]()
	setterType      = reflect.TypeFor[envconfig.Setter]()
	unmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// decodesItself is true for types that envconfig hands the text to.
func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(decoderType) || p.Implements(setterType) || p.Implements(unmarshalerType)
}

func holdsSecret(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return holdsSecret(t.Elem())
	default:
		return t == reflect.TypeFor[Secret]()
	}
}

func typeName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Bytes]():
		return "size"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	}
	if decodesItself(t) {
		return "text"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "whole number"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "name:value list"
	case reflect.Pointer:
		return typeName(t.Elem())
	default:
		return "text"
	}
}
