data "azurerm_kubernetes_cluster" "this" {
  name                = var.cluster_name
  resource_group_name = var.cluster_resource_group
}

locals {
  resource_group = coalesce(var.resource_group, var.cluster_resource_group)
  location       = data.azurerm_kubernetes_cluster.this.location
  watched        = coalesce(var.watched_cluster_ids, [data.azurerm_kubernetes_cluster.this.id])
}

# Basic has no Kafka endpoint. The namespace is for audit logs alone: rights on it are rights on them.
resource "azurerm_eventhub_namespace" "audit" {
  name                     = var.eventhub_namespace
  location                 = local.location
  resource_group_name      = local.resource_group
  sku                      = "Standard"
  capacity                 = 1
  auto_inflate_enabled     = true
  maximum_throughput_units = var.throughput_units
  minimum_tls_version      = "1.2"
  tags                     = var.tags
}

resource "azurerm_eventhub" "audit" {
  name              = var.category
  namespace_id      = azurerm_eventhub_namespace.audit.id
  partition_count   = var.partitions
  message_retention = 7 # days that Foretop or Elasticsearch may be down
}

# Azure Monitor asks for a rule of the namespace with all three rights, and stores its key in the diagnostic setting.
resource "azurerm_eventhub_namespace_authorization_rule" "diagnostics" {
  name                = "diagnostics"
  namespace_name      = azurerm_eventhub_namespace.audit.name
  resource_group_name = local.resource_group
  listen              = true
  send                = true
  manage              = true
}

resource "azurerm_monitor_diagnostic_setting" "audit" {
  for_each = { for id in local.watched : lower(id) => id }

  name                           = var.name
  target_resource_id             = each.value
  eventhub_name                  = azurerm_eventhub.audit.name
  eventhub_authorization_rule_id = azurerm_eventhub_namespace_authorization_rule.diagnostics.id

  enabled_log {
    category = var.category
  }
}

resource "azurerm_user_assigned_identity" "foretop" {
  name                = var.name
  location            = local.location
  resource_group_name = local.resource_group
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "foretop" {
  name                = var.name
  resource_group_name = local.resource_group
  parent_id           = azurerm_user_assigned_identity.foretop.id
  audience            = ["api://AzureADTokenExchange"]
  issuer              = data.azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject             = "system:serviceaccount:${var.namespace}:${var.service_account}"
}

resource "azurerm_role_assignment" "foretop" {
  scope                = azurerm_eventhub_namespace.audit.id
  role_definition_name = "Azure Event Hubs Data Receiver"
  principal_id         = azurerm_user_assigned_identity.foretop.principal_id
  principal_type       = "ServicePrincipal"
}
