from django.contrib.admin import AdminSite
from django.urls import include, path

from tests.browser.themes.admins import patterns

urlpatterns = [*patterns(AdminSite()), path("grappelli/", include("grappelli.urls"))]
