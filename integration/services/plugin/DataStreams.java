package foretop.integration;

import static org.elasticsearch.rest.RestRequest.Method.DELETE;
import static org.elasticsearch.rest.RestRequest.Method.GET;
import static org.elasticsearch.rest.RestRequest.Method.PUT;

import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;

import org.elasticsearch.ResourceNotFoundException;
import org.elasticsearch.action.ActionListener;
import org.elasticsearch.action.admin.indices.create.AutoCreateAction;
import org.elasticsearch.action.admin.indices.create.CreateIndexRequest;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.ClusterState;
import org.elasticsearch.cluster.ClusterStateUpdateTask;
import org.elasticsearch.cluster.metadata.DataStream;
import org.elasticsearch.cluster.metadata.MetadataDataStreamsService;
import org.elasticsearch.cluster.metadata.MetadataIndexTemplateService;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.Strings;
import org.elasticsearch.common.regex.Regex;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.rest.BaseRestHandler;
import org.elasticsearch.rest.RestChannel;
import org.elasticsearch.rest.RestRequest;
import org.elasticsearch.rest.RestResponse;
import org.elasticsearch.rest.RestStatus;
import org.elasticsearch.xcontent.ToXContent;
import org.elasticsearch.xcontent.XContentBuilder;

/**
 * PUT, GET and DELETE /_data_stream/{name}. The server makes, rolls over and removes data streams by itself; only these
 * requests are answered in a module. The tests have a single node, so the state is read and changed right here.
 */
final class DataStreams extends BaseRestHandler {
    private final ClusterService cluster;
    private final Settings settings;

    DataStreams(ClusterService cluster, Settings settings) {
        this.cluster = cluster;
        this.settings = settings;
    }

    @Override
    public String getName() {
        return "foretop_data_streams";
    }

    @Override
    public List<Route> routes() {
        var one = "/_data_stream/{name}";
        return List.of(new Route(PUT, one), new Route(GET, one), new Route(GET, "/_data_stream"), new Route(DELETE, one));
    }

    @Override
    protected RestChannelConsumer prepareRequest(RestRequest request, NodeClient client) {
        var patterns = Strings.splitStringByCommaToArray(request.param("name", "*"));
        return channel -> {
            switch (request.method()) {
                case PUT -> create(patterns[0], client, channel);
                case DELETE -> delete(patterns, channel);
                default -> show(patterns, channel);
            }
        };
    }

    private void create(String name, NodeClient client, RestChannel channel) {
        if (cluster.state().metadata().dataStreams().containsKey(name)) {
            refuse(channel, new IllegalArgumentException("data_stream [" + name + "] already exists"));
            return;
        }
        if (MetadataIndexTemplateService.findV2Template(cluster.state().metadata(), name, false) == null) {
            refuse(channel, new IllegalArgumentException("no matching index template found for data stream [" + name + "]"));
            return;
        }
        client.execute(AutoCreateAction.INSTANCE, new CreateIndexRequest(name),
            ActionListener.wrap(done -> acknowledge(channel), error -> refuse(channel, error)));
    }

    private void delete(String[] patterns, RestChannel channel) {
        cluster.submitUnbatchedStateUpdateTask("foretop: delete data streams", new ClusterStateUpdateTask() {
            @Override
            public ClusterState execute(ClusterState before) {
                var chosen = Set.copyOf(find(before, patterns));
                return chosen.isEmpty() ? before : MetadataDataStreamsService.deleteDataStreams(before, chosen, settings);
            }

            @Override
            public void clusterStateProcessed(ClusterState before, ClusterState after) {
                acknowledge(channel);
            }

            @Override
            public void onFailure(Exception error) {
                refuse(channel, error);
            }
        });
    }

    private void show(String[] patterns, RestChannel channel) throws IOException {
        var state = cluster.state();
        List<DataStream> chosen;
        try {
            chosen = find(state, patterns);
        } catch (ResourceNotFoundException error) {
            refuse(channel, error);
            return;
        }
        var json = channel.newBuilder().startObject().startArray("data_streams");
        for (var stream : chosen) {
            describe(stream, state, json);
        }
        channel.sendResponse(new RestResponse(RestStatus.OK, json.endArray().endObject()));
    }

    private static void describe(DataStream stream, ClusterState state, XContentBuilder json) throws IOException {
        json.startObject().field("name", stream.getName()).field("generation", stream.getGeneration());
        json.startObject("timestamp_field").field("name", DataStream.TIMESTAMP_FIELD_NAME).endObject();
        json.startArray("indices");
        for (var index : stream.getIndices()) {
            json.startObject().field("index_name", index.getName()).field("index_uuid", index.getUUID()).endObject();
        }
        json.endArray();
        json.field("template", MetadataIndexTemplateService.findV2Template(state.metadata(), stream.getName(), false));
        if (stream.getDataLifecycle() != null) {
            json.field("lifecycle");
            stream.getDataLifecycle().toXContent(json, ToXContent.EMPTY_PARAMS);
        }
        json.field("hidden", stream.isHidden()).field("system", stream.isSystem()).field("replicated", stream.isReplicated());
        json.endObject();
    }

    /** The data streams that any pattern names; a name without a wildcard must exist. */
    private static List<DataStream> find(ClusterState state, String[] patterns) {
        var all = state.metadata().dataStreams();
        for (var pattern : patterns) {
            if (Regex.isSimpleMatchPattern(pattern) == false && all.containsKey(pattern) == false) {
                throw new ResourceNotFoundException("data stream [" + pattern + "] not found");
            }
        }
        return all.values().stream().filter(s -> Regex.simpleMatch(patterns, s.getName())).collect(Collectors.toList());
    }

    private static void acknowledge(RestChannel channel) {
        try {
            var json = channel.newBuilder().startObject().field("acknowledged", true).endObject();
            channel.sendResponse(new RestResponse(RestStatus.OK, json));
        } catch (IOException error) {
            refuse(channel, error);
        }
    }

    private static void refuse(RestChannel channel, Exception error) {
        try {
            channel.sendResponse(new RestResponse(channel, error));
        } catch (IOException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
