package foretop.integration;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;

import org.apache.lucene.analysis.LowerCaseFilter;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.cluster.metadata.IndexMetadata;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.ClusterSettings;
import org.elasticsearch.common.settings.IndexScopedSettings;
import org.elasticsearch.common.settings.Setting;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.common.settings.SettingsFilter;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.index.mapper.FieldMapper;
import org.elasticsearch.index.mapper.KeywordFieldMapper;
import org.elasticsearch.index.mapper.Mapper;
import org.elasticsearch.index.mapper.TextFieldMapper;
import org.elasticsearch.indices.analysis.AnalysisModule;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.MapperPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestController;
import org.elasticsearch.rest.RestHandler;

/**
 * What Foretop asks of Elasticsearch and the distribution published for plugin tests leaves out. Bulk requests, data
 * streams, templates, mappings and searches are the server's own; this adds the doors to them that live in modules:
 * the greeting on /, the data stream API, and the field types of the template that are not part of the server.
 */
public final class TestServer extends Plugin implements ActionPlugin, AnalysisPlugin, MapperPlugin {
    private ClusterService cluster;

    @Override
    public Collection<?> createComponents(PluginServices services) {
        cluster = services.clusterService();
        return List.of();
    }

    @Override
    public Collection<RestHandler> getRestHandlers(Settings settings, NamedWriteableRegistry writeables, RestController rest,
        ClusterSettings clusterSettings, IndexScopedSettings indexSettings, SettingsFilter filter, IndexNameExpressionResolver names,
        Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> features) {
        return List.of(new Greeting(cluster), new DataStreams(cluster, settings));
    }

    /** A wildcard field is stored as a keyword and a match_only_text field as text: their mappings and queries are alike. */
    @Override
    public Map<String, Mapper.TypeParser> getMappers() {
        return Map.of(
            ConstantKeyword.TYPE, new FieldMapper.TypeParser((name, context) -> new ConstantKeyword.Builder(name)),
            "wildcard", KeywordFieldMapper.PARSER,
            "match_only_text", TextFieldMapper.PARSER
        );
    }

    /** The index in which the server keeps API keys is analysed with these; all of them are Lucene's own. */
    @Override
    public Map<String, AnalysisModule.AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of(
            "lowercase", (index, environment, name, settings) -> new Filter(name, LowerCaseFilter::new),
            "unique", (index, environment, name, settings) -> new Filter(name, RemoveDuplicatesTokenFilter::new),
            "pattern_capture", AnalysisPlugin.requiresAnalysisSettings((index, environment, name, settings) -> {
                var patterns = settings.getAsList("patterns").stream().map(Pattern::compile).toArray(Pattern[]::new);
                var keep = settings.getAsBoolean("preserve_original", true);
                return new Filter(name, in -> new PatternCaptureGroupTokenFilter(in, keep, patterns));
            })
        );
    }

    @Override
    public Map<String, AnalysisModule.AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("uax_url_email", (index, environment, name, settings) -> TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
    }

    private record Filter(String name, UnaryOperator<TokenStream> wrap) implements TokenFilterFactory {
        @Override
        public TokenStream create(TokenStream in) {
            return wrap.apply(in);
        }
    }

    /** Index lifecycle policies are accepted and do nothing. */
    @Override
    public List<Setting<?>> getSettings() {
        return List.of(
            Setting.simpleString(IndexMetadata.LIFECYCLE_NAME, Setting.Property.IndexScope, Setting.Property.Dynamic),
            Setting.simpleString("index.lifecycle.rollover_alias", Setting.Property.IndexScope, Setting.Property.Dynamic)
        );
    }
}
