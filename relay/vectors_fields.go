package relay

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// compareFields compares what a frame holds with a vector's fields, all of them: a frame
// type that gets a field is compared by it without a word here.
func compareFields(f Frame, want map[string]any) error {
	fields := map[string]any{}
	if err := addFields(fields, reflect.ValueOf(f).Elem()); err != nil {
		return err
	}
	got, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	expected, err := json.Marshal(want) // sorts the names, as above
	if err != nil {
		return err
	}
	if !bytes.Equal(got, expected) {
		return fmt.Errorf("the fields are %s, want %s", got, expected)
	}
	return nil
}

// addFields adds a struct's fields under the names of PROTOCOL.md.
func addFields(to map[string]any, v reflect.Value) error {
	for i := range v.NumField() {
		if v.Field(i).Type() == reflect.TypeFor[Refusal]() {
			if err := addFields(to, v.Field(i)); err != nil { // its fields are the frame's
				return err
			}
			continue
		}
		value, err := fieldValue(v.Field(i))
		if err != nil {
			return err
		}
		to[fieldName(v.Type().Field(i))] = value
	}
	return nil
}

// fieldName is the name on the wire: words in lower case, a time with its unit.
func fieldName(f reflect.StructField) string {
	switch {
	case f.Type == reflect.TypeFor[IdempotencyID]():
		return "idem"
	case f.Type == reflect.TypeFor[time.Duration]():
		return strings.ToLower(strings.TrimSuffix(f.Name, "After")) + "_ms"
	}
	var name strings.Builder
	for i, r := range f.Name {
		if unicode.IsUpper(r) && i > 0 {
			name.WriteByte('_')
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}

// fieldValue is a field as JSON has it: numbers, booleans, hexadecimal for bytes, null for
// what is absent.
func fieldValue(v reflect.Value) (any, error) {
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool(), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return float64(v.Uint()), nil // as JSON's numbers are read; the files stay below 2^53
	case reflect.Int64:
		if v.Type() == reflect.TypeFor[time.Duration]() {
			return float64(v.Int() / int64(time.Millisecond)), nil
		}
	case reflect.Array, reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return hexOf(v), nil
		}
		list := make([]any, v.Len())
		for i := range list {
			var err error
			if list[i], err = fieldValue(v.Index(i)); err != nil {
				return nil, err
			}
		}
		return list, nil
	case reflect.Pointer:
		if v.IsNil() {
			return nil, nil
		}
		return fieldValue(v.Elem())
	case reflect.Interface:
		fields := map[string]any{}
		if c, ok := v.Interface().(Change); ok {
			err := addFields(fields, v.Elem())
			delete(fields, "change_type") // of an unknown change, which its type says already
			fields["type"] = float64(c.Type())
			return fields, err
		}
	case reflect.Struct:
		fields := map[string]any{}
		return fields, addFields(fields, v)
	}
	return nil, fmt.Errorf("a field of type %v has no form in vectors", v.Type())
}

func hexOf(v reflect.Value) string {
	b := make([]byte, v.Len())
	reflect.Copy(reflect.ValueOf(b), v)
	return hex.EncodeToString(b)
}
