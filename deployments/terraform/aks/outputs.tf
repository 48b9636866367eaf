output "client_id" {
  description = "The identity of the pod: annotate the Kubernetes service account with azure.workload.identity/client-id."
  value       = azurerm_user_assigned_identity.foretop.client_id
}

output "settings" {
  description = "Variables for Foretop."
  value = {
    FORETOP_EVENTHUBS_NAMESPACE = "${azurerm_eventhub_namespace.audit.name}.servicebus.windows.net"
    FORETOP_EVENTHUBS_HUBS      = azurerm_eventhub.audit.name
  }
}
