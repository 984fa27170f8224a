"""URLs of the site under test: the authorization server under /o/, three pagination styles under /api/."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import TokenHasScope
from rest_framework import generics, pagination, serializers


class UserSerializer(serializers.ModelSerializer):
    class Meta:
        model = User
        fields = ("id", "username", "last_name", "email", "is_staff", "date_joined", "last_login")


class ByPage(pagination.PageNumberPagination):
    page_size, page_size_query_param, max_page_size = 20, "page_size", 100


class ByOffset(pagination.LimitOffsetPagination):
    default_limit, max_limit = 20, 100


class ByCursor(pagination.CursorPagination):
    page_size, ordering = 20, "id"


def users(paginated_by: type) -> object:
    attributes = {
        "queryset": User.objects.order_by("id"),
        "serializer_class": UserSerializer,
        "pagination_class": paginated_by,
        "permission_classes": [TokenHasScope],
        "required_scopes": ["read"],
    }
    return type(f"Users{paginated_by.__name__}", (generics.ListAPIView,), attributes).as_view()


urlpatterns = [
    path("admin/", admin.site.urls),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("api/page/", users(ByPage)),
    path("api/offset/", users(ByOffset)),
    path("api/cursor/", users(ByCursor)),
]
