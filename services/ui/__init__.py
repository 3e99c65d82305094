"""The Streamlit frontend: user sessions on top of the two gRPC services."""
