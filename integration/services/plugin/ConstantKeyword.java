package foretop.integration;

import java.io.IOException;
import java.util.Map;

import org.apache.lucene.search.MatchAllDocsQuery;
import org.apache.lucene.search.MatchNoDocsQuery;
import org.apache.lucene.search.Query;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.index.fielddata.FieldData;
import org.elasticsearch.index.fielddata.FieldDataContext;
import org.elasticsearch.index.fielddata.IndexFieldData;
import org.elasticsearch.index.fielddata.ScriptDocValues;
import org.elasticsearch.index.fielddata.plain.ConstantIndexFieldData;
import org.elasticsearch.index.mapper.ConstantFieldType;
import org.elasticsearch.index.mapper.DocumentParserContext;
import org.elasticsearch.index.mapper.FieldMapper;
import org.elasticsearch.index.mapper.MapperBuilderContext;
import org.elasticsearch.index.mapper.ValueFetcher;
import org.elasticsearch.index.query.QueryRewriteContext;
import org.elasticsearch.index.query.SearchExecutionContext;
import org.elasticsearch.script.field.DelegateDocValuesField;
import org.elasticsearch.search.aggregations.support.CoreValuesSourceType;

/**
 * A field with one value for a whole index. The mapping gives it, or the first document that has the field; a document
 * with another value is refused, as by the real type: this is what a wrong data_stream.* field would run into.
 */
final class ConstantKeyword extends FieldMapper {
    static final String TYPE = "constant_keyword";

    private ConstantKeyword(String name, Field type) {
        super(name, type, BuilderParams.empty());
    }

    private String value() {
        return ((Field) fieldType()).value;
    }

    @Override
    protected String contentType() {
        return TYPE;
    }

    @Override
    public FieldMapper.Builder getMergeBuilder() {
        return new Builder(leafName()).init(this);
    }

    @Override
    protected void parseCreateField(DocumentParserContext document) throws IOException {
        var found = document.parser().textOrNull();
        if (found == null) {
            throw new IllegalArgumentException("[constant_keyword] field [" + fullPath() + "] doesn't accept [null] values");
        }
        if (value() == null) {
            document.addDynamicMapper(new ConstantKeyword(leafName(), new Field(fullPath(), found)));
        } else if (found.equals(value()) == false) {
            throw new IllegalArgumentException("[constant_keyword] field [" + fullPath() + "] only accepts the value of its mapping");
        }
    }

    static final class Builder extends FieldMapper.Builder {
        private final Parameter<String> value = new Parameter<>("value", true, () -> null, (name, context, given) -> given.toString(),
            mapper -> ((ConstantKeyword) mapper).value(), (json, name, current) -> json.field(name, current), String::valueOf);

        Builder(String name) {
            super(name);
            value.setSerializerCheck((withDefaults, configured, current) -> current != null);
            value.setMergeValidator((old, now, conflicts) -> old == null || old.equals(now));
        }

        @Override
        protected Parameter<?>[] getParameters() {
            return new Parameter<?>[] { value };
        }

        @Override
        public FieldMapper build(MapperBuilderContext context) {
            return new ConstantKeyword(leafName(), new Field(context.buildFullName(leafName()), value.getValue()));
        }
    }

    /** How the field is searched: every document has the value, or none while no value is known. */
    private static final class Field extends ConstantFieldType {
        private final String value;

        Field(String name, String value) {
            super(name, Map.of());
            this.value = value;
        }

        @Override
        public String typeName() {
            return TYPE;
        }

        @Override
        public String familyTypeName() {
            return "keyword";
        }

        @Override
        public String getConstantFieldValue(SearchExecutionContext context) {
            return value;
        }

        @Override
        protected boolean matches(String pattern, boolean ignoreCase, QueryRewriteContext context) {
            return value != null && Regex.simpleMatch(pattern, value, ignoreCase);
        }

        @Override
        public Query existsQuery(SearchExecutionContext context) {
            return value == null ? new MatchNoDocsQuery() : new MatchAllDocsQuery();
        }

        @Override
        public ValueFetcher valueFetcher(SearchExecutionContext context, String format) {
            return value == null ? ValueFetcher.EMPTY : ValueFetcher.singleton(value);
        }

        @Override
        public IndexFieldData.Builder fielddataBuilder(FieldDataContext context) {
            return new ConstantIndexFieldData.Builder(value, name(), CoreValuesSourceType.KEYWORD, (values, field) -> {
                var strings = new ScriptDocValues.StringsSupplier(FieldData.toString(values));
                return new DelegateDocValuesField(new ScriptDocValues.Strings(strings), field);
            });
        }
    }
}
